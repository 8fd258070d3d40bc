"""Kind "email": what a mail looks like, what each reply at each stage means, and that no server holds a transaction beyond its deadline."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
import trio
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult
from hypothesis import given, settings
from tests.destinations.signals import deliveries, delivery

from tocsind.attachments import Store
from tocsind.config import Config, ConfigurationInvalid, parse
from tocsind.config.kinds.email import EmailOptions, Mailbox
from tocsind.destinations.email import EmailDestination
from tocsind.policy.delivery import Delivery, LiveUpdate
from tocsind.policy.live_message import Line, LiveMessage
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Report, Unknown
from tocsind.secret import Secret
from tocsind.testing.kinds.email import EmailService
from tocsind.testing.kinds.smtp_server import PASSWORD, USER
from tocsind.testing.service import serving

STAGES = ["connect", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "end"]
FILE = {"kind": "file", "path": "f.jsonl"}
MINIMUM = {"smarthost": "smtp.example.com:587", "from": "a@example.com", "to": ["b@example.com"]}


def configured(**keys: Any) -> Config:
    destinations = {"d": {"kind": "email", **MINIMUM, **keys}, "f": FILE}
    return parse(tomli_w.dumps({"destinations": destinations, "routes": [{"to": ["d", "f"]}]}), "alerts.toml")


def options_of(**keys: Any) -> EmailOptions:
    options = configured(**keys).destinations["d"].options
    assert isinstance(options, EmailOptions)
    return options


def problem(**keys: Any) -> str:
    with pytest.raises(ConfigurationInvalid) as caught:
        configured(**keys)
    return str(caught.value)


@pytest.fixture
async def relay() -> AsyncIterator[EmailService]:
    async with serving(EmailService()) as service:
        yield service


def to(relay: EmailService, *recipients: str, **options: Any) -> EmailDestination:
    own = EmailOptions(
        host="127.0.0.1",
        port=relay.smtp.port,
        tls="none",
        username=USER,
        password=Secret(PASSWORD),
        sender=Mailbox("tocsin@example.com", "tocsin"),
        recipients=tuple(Mailbox(each) for each in recipients or ["reader@example.com"]),
        deadline=20.0,
    )
    return EmailDestination(msgspec.structs.replace(own, **options))


async def outcome(destination: EmailDestination, *batch: Delivery) -> Outcome:
    with trio.fail_after(20):
        return (await destination.deliver(batch or [delivery()])).outcomes[0]


# --- the configuration ------------------------------------------------------------------------------------------------


def test_port_decides_about_tls() -> None:
    assert options_of().tls == "starttls"
    assert options_of(smarthost="smtp.example.com:465").tls == "implicit"
    assert options_of(smarthost="[::1]:25", tls="none").host == "::1"


def test_configuration_names_what_is_wrong_with_a_mail_destination() -> None:
    assert '"smtp.example.com" is no host with a port' in problem(smarthost="smtp.example.com")
    assert "is no host with a port" in problem(smarthost="smtp.example.com:99999")
    assert "needs a username beside it" in problem(password={"env": "X"})
    assert "needs a password beside it" in problem(username="u")
    assert "is no address" in problem(to=["me"])
    assert "is no address" in problem(**{"from": "a@b@c"})
    assert "must name at least one" in problem(to=[])
    assert "no kind of TLS is called" in problem(tls="ssl")
    readable = problem(tls="none", username="u", password={"env": "X"})
    assert "the password would be readable on the way" in readable


def test_mail_in_clear_text_to_another_machine_is_warned_about() -> None:
    assert any("mails can be read on the way" in each for each in configured(tls="none").warnings)
    assert not any("on the way" in each for each in configured(tls="none", smarthost="127.0.0.1:25").warnings)


# --- the mail ---------------------------------------------------------------------------------------------------------


async def test_mail_has_what_a_reader_and_a_filter_need(relay: EmailService) -> None:
    shown = delivery("BUY BTCUSDT ✓", body="fast crossed slow\n.hidden dot", priority="urgent", price=64000.5)
    found = await outcome(to(relay), shown)
    ((recipients, mail),) = relay.mails
    id_ = f"<{shown.id}.signals-premium@example.com>"
    assert found == Delivered(id_)
    assert recipients == ["reader@example.com"]
    assert mail["Message-ID"] == id_
    assert mail["From"] == "tocsin <tocsin@example.com>"
    assert mail["Subject"] == "🚨 BUY BTCUSDT ✓ · 64,000.5"
    assert (mail["X-Priority"], mail["Importance"], mail["Auto-Submitted"]) == ("1", "high", "auto-generated")
    text = mail.get_content().replace("\r\n", "\n")
    assert "fast crossed slow\n.hidden dot" in text
    assert shown.id[-8:] in text
    assert mail["Date"].datetime.tzinfo is not None
    assert relay.smtp.violations == []


async def test_mail_without_a_body_has_a_text(relay: EmailService) -> None:
    await outcome(to(relay), delivery("title alone"))
    assert relay.saved[0].text.strip()


async def test_mail_that_is_tried_again_is_the_same_mail_and_a_repetition_another(relay: EmailService) -> None:
    destination, first = to(relay), delivery()
    await outcome(destination, first)
    await outcome(destination, msgspec.structs.replace(first, attempts=2))
    await outcome(destination, msgspec.structs.replace(first, repeats=1))
    assert [each.copies for each in relay.saved] == [1, 0]


async def test_later_state_of_a_key_answers_the_first_mail(relay: EmailService) -> None:
    first = delivery("BUY", key="trade")
    then = LiveMessage(None, (Line(1, 1_767_225_600.0, "BUY"),))
    destination = to(relay)
    posted = msgspec.structs.replace(first, update=LiveUpdate("trade", "x", None, then, first))
    answer = await outcome(destination, posted)
    assert isinstance(answer, Delivered)
    second = delivery("SELL", key="trade")
    both = (*then.lines, Line(2, 1_767_225_700.0, "SELL"))
    update = LiveUpdate("trade", "x", answer.message, LiveMessage(answer.message, both), second)
    assert await outcome(destination, msgspec.structs.replace(second, update=update)) == answer
    mail = relay.mails[1][1]
    assert mail["In-Reply-To"] == mail["References"] == relay.mails[0][1]["Message-ID"] == answer.message
    assert mail["Message-ID"] != answer.message
    assert mail["Subject"] == "SELL"
    assert "BUY" in mail.get_content()


async def test_file_of_a_signal_is_an_attachment(relay: EmailService, tmp_path: Path) -> None:
    store = Store(tmp_path)
    shown = delivery("chart", attach="chart.png")
    store.save(shown.id, b"\x89PNG.\r\n.\r\n")
    destination = EmailDestination(to(relay)._options, store)
    await outcome(destination, shown)
    await outcome(destination, msgspec.structs.replace(shown, plain_format=True, repeats=1))
    with_file, plain = (mail for _, mail in relay.mails)
    (attached,) = with_file.iter_attachments()
    assert isinstance(attached, EmailMessage)
    assert (attached.get_filename(), attached.get_content_type()) == ("chart.png", "image/png")
    assert attached.get_content() == b"\x89PNG.\r\n.\r\n"
    assert not list(plain.iter_attachments())
    assert "chart.png is not attached" in plain.get_content()


@settings(max_examples=40)  # headers of the standard library take their time
@given(deliveries)
def test_mail_of_any_signal_is_accepted_by_relays(shown: Delivery) -> None:
    options = EmailOptions(sender=Mailbox("a@example.com"), recipients=(Mailbox("b@example.com", 'Zoë, "x"'),))
    content = EmailDestination(options)._message([shown], None).as_bytes(policy=SMTP)
    lines = content.split(b"\r\n")
    assert all(len(line) <= 998 and line.isascii() and b"\r" not in line and b"\n" not in line for line in lines)
    read = message_from_bytes(content, policy=default)
    assert read.get_content_type() == "text/plain"
    assert read["To"].addresses[0].addr_spec == "b@example.com"
    assert len(read.keys()) == len(set(read.keys()))
    assert read["Subject"]


# --- what replies mean ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
async def test_421_at_any_stage_puts_the_mail_off(relay: EmailService, stage: str) -> None:
    relay.smtp.replies[stage, ""] = ["421 4.3.2 shutting down"]
    destination = to(relay)
    assert await outcome(destination) == Deferred("421 from the mail server: 4.3.2 shutting down")
    assert relay.mails == []
    assert isinstance(await outcome(destination), Delivered)


@pytest.mark.parametrize("stage", STAGES)
async def test_connection_lost_leaves_doubt_only_after_the_whole_mail(relay: EmailService, stage: str) -> None:
    relay.smtp.lost.append(stage)
    found = await outcome(to(relay))
    if stage == "end":
        assert found == Unknown("the connection was lost: it may have arrived")
    else:
        assert found == Deferred("the connection was lost: nothing was sent", unsent=stage == "connect")


@pytest.mark.parametrize("stage", ["connect", "end"])
async def test_dripping_server_is_left_at_the_deadline(relay: EmailService, stage: str) -> None:
    destination = to(relay, deadline=1.0)
    if stage == "end":
        relay.smtp.held = trio.Event()
    else:
        relay.smtp.drip = 0.1
    began = trio.current_time()
    found = await outcome(destination)
    assert 0.9 < trio.current_time() - began < 20
    assert isinstance(found, Unknown if stage == "end" else Deferred)
    assert "no answer within 1 s" in found.reason


@pytest.mark.parametrize(
    ("stage", "reply", "meaning"),
    [
        ("AUTH", "535 5.7.8 no", Refused("535 from the mail server: 5.7.8 no", disable=True)),
        ("AUTH", "454 4.7.0 later", Deferred("454 from the mail server: 4.7.0 later")),
        ("MAIL", "530 5.7.0 log in", Refused("530 from the mail server: 5.7.0 log in", disable=True)),
        ("MAIL", "553 5.1.8 sender", Refused("553 from the mail server: 5.1.8 sender", strike=True)),
        ("RCPT", "550 5.1.1 unknown", Refused("550 from the mail server: 5.1.1 unknown", strike=True)),
        ("RCPT", "450 4.2.0 greylisted", Deferred("450 from the mail server: 4.2.0 greylisted")),
        (
            "RCPT",
            "451 4.7.1 Greylisted, try again in 5 minutes",
            Deferred("451 from the mail server: 4.7.1 Greylisted, try again in 5 minutes", wait=300.0),
        ),
        ("connect", "554 5.7.1 blocked", Refused("554 from the mail server: 5.7.1 blocked", strike=True)),
        ("end", "554 5.7.1 spam", Deferred("554 from the mail server: 5.7.1 spam", Cause.FORMAT)),
        ("end", "552 5.3.4 size", Deferred("552 from the mail server: too large", Cause.FORMAT)),
        ("end", "451 4.3.0 disk", Deferred("451 from the mail server: 4.3.0 disk")),
        (
            "MAIL",
            "450 4.7.1 Too many mails",
            Deferred("450 from the mail server: 4.7.1 Too many mails", Cause.LIMITED, Reach.KIND),
        ),
        (
            "end",
            "550 5.4.5 Daily user sending limit exceeded",
            Deferred("550 from the mail server: 5.4.5 Daily user sending limit exceeded", Cause.LIMITED, Reach.KIND),
        ),
        ("MAIL", "999 what", Deferred("the server's answer is no SMTP: nothing was sent")),
        ("MAIL", "250-more\n251 than one code", Deferred("251 from the mail server: more than one code")),
    ],
)
async def test_reply_means_what_its_stage_says(relay: EmailService, stage: str, reply: str, meaning: Outcome) -> None:
    relay.smtp.replies[stage, ""] = [reply]
    assert await outcome(to(relay)) == meaning
    assert relay.mails == []


async def test_recipient_that_is_not_ready_is_tried_again_alone_with_the_same_mail(relay: EmailService) -> None:
    relay.smtp.replies["RCPT", "b@example.com"] = ["452 4.2.2 full", "452 4.2.2 full"]
    destination, shown = to(relay, "a@example.com", "b@example.com"), delivery()
    waits = Deferred("452 4.2.2 full for b@example.com; other recipients have it", Cause.PARTLY)
    assert await outcome(destination, shown) == waits
    assert isinstance(await outcome(destination, shown), Deferred)
    assert await outcome(destination, delivery("another")) != waits
    assert isinstance(await outcome(destination, shown), Delivered)
    assert [recipients for recipients, _ in relay.mails] == [
        ["a@example.com"],
        ["a@example.com", "b@example.com"],
        ["b@example.com"],
    ]
    assert relay.mails[0][1]["Message-ID"] == relay.mails[2][1]["Message-ID"]


async def test_recipient_that_is_refused_is_reported_when_others_have_the_mail(relay: EmailService) -> None:
    relay.smtp.replies["RCPT", "b@example.com"] = ["550 5.1.1 no such user"]
    destination, refused = (
        to(relay, "a@example.com", "b@example.com"),
        "b@example.com is refused: 550 5.1.1 no such user",
    )
    report: Report = await destination.deliver([delivery()])
    assert isinstance(report.outcomes[0], Delivered)
    assert (report.outcomes[0].but, report.note, report.is_problem) == (refused, refused, True)
    whole = await destination.deliver([delivery("another")])
    assert (whole.outcomes[0].but, whole.note, whole.is_problem) == (None, "", False)  # type: ignore[union-attr]


async def test_refused_recipient_is_named_also_after_a_later_one_has_the_mail(relay: EmailService) -> None:
    relay.smtp.replies["RCPT", "b@example.com"] = ["550 5.1.1 no such user"]
    relay.smtp.replies["RCPT", "c@example.com"] = ["452 4.2.2 full"]
    destination, shown = to(relay, "a@example.com", "b@example.com", "c@example.com"), delivery()
    waits = await outcome(destination, shown)
    assert isinstance(waits, Deferred)
    assert "b@example.com is refused" in waits.reason
    found = await outcome(destination, shown)
    assert isinstance(found, Delivered)
    assert found.but == "b@example.com is refused: 550 5.1.1 no such user"


async def test_reply_without_end_is_left(relay: EmailService) -> None:
    relay.smtp.replies["EHLO", ""] = ["\n".join("250-" + "x" * 900 for _ in range(60))]
    assert await outcome(to(relay)) == Deferred("the server's answer is too long: nothing was sent")


async def test_password_that_a_server_repeats_is_not_shown(relay: EmailService) -> None:
    relay.smtp.replies["AUTH", ""] = [f"535 5.7.8 {PASSWORD} is wrong"]
    found = await outcome(to(relay))
    assert isinstance(found, Refused)
    assert found.reason == "535 from the mail server: 5.7.8 **** is wrong"


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, which is its own authority, and its key."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is not there to make a certificate")
    path = tmp_path_factory.mktemp("ca") / "both.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", *kind, *names, "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def with_tls(relay: EmailService, certificate: Path) -> None:
    relay.smtp.certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    relay.smtp.certificate.load_cert_chain(certificate)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mail_goes_over_tls(
    relay: EmailService, certificate: Path, monkeypatch: pytest.MonkeyPatch, tls: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with_tls(relay, certificate)
    relay.smtp.is_implicit = tls == "implicit"
    assert isinstance(await outcome(to(relay, tls=tls)), Delivered)
    assert relay.smtp.encrypted == 1


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_certificate_that_is_not_trusted_gets_nothing(relay: EmailService, certificate: Path, tls: str) -> None:
    with_tls(relay, certificate)
    relay.smtp.is_implicit = tls == "implicit"
    found = await outcome(to(relay, tls=tls))
    assert found == Deferred("cannot connect (TLS: the certificate is not trusted): nothing was sent", unsent=True)


async def test_password_is_not_sent_to_a_server_that_offers_no_tls(relay: EmailService) -> None:
    found = await outcome(to(relay, tls="starttls"))
    assert isinstance(found, Deferred)
    assert "offers no STARTTLS" in found.reason
    assert relay.smtp.commands == ["EHLO"]


async def test_certificates_that_cannot_be_read_are_named(relay: EmailService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at/all")
    found = await outcome(to(relay, tls="starttls"))
    assert found == Deferred("SSL_CERT_FILE names a file that cannot be read: No such file or directory", unsent=True)


# --- a real server ----------------------------------------------------------------------------------------------------


class Kept(Message):
    """What aiosmtpd accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.mails.append(message)


class AnyPort(Controller):
    """A server on a free port."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


async def test_real_server_takes_mails_after_starttls_and_login(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def check(server: object, session: object, envelope: object, mechanism: object, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()), handled=False)

    kept, loop = Kept(), asyncio.new_event_loop()
    keys: dict[str, Any] = {"tls_context": context, "authenticator": check, "auth_required": True}
    controller = AnyPort(kept, hostname="127.0.0.1", port=0, loop=loop, require_starttls=True, **keys)
    await trio.to_thread.run_sync(controller.start)
    try:
        shown = delivery("über die Brücke", body=".\n..\n" + "x" * 3000)
        options = EmailOptions(
            host="127.0.0.1",
            port=controller.port,
            username=USER,
            password=Secret(PASSWORD),
            sender=Mailbox("a@example.com"),
            recipients=(Mailbox("b@example.com"), Mailbox("c@example.com")),
        )
        assert isinstance(await outcome(EmailDestination(options), shown), Delivered)
        wrong = msgspec.structs.replace(options, password=Secret("wrong-password"))
        refused = await outcome(EmailDestination(wrong), shown)
    finally:
        await trio.to_thread.run_sync(controller.stop)
    (mail,) = kept.mails
    read = message_from_bytes(mail.as_bytes(), policy=default)
    assert read["Subject"] == "über die Brücke"
    assert isinstance(read, EmailMessage)
    assert ".\n..\n" + "x" * 3000 in read.get_content().replace("\r\n", "\n")
    assert isinstance(refused, Refused)
    assert refused.disable
