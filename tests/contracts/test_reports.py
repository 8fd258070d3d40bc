"""What the commands report of a real daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.harness import DaemonProcess, discord, file, route


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("reports")
    nothing_listens = "http://127.0.0.1:9/api/webhooks/1/token"
    retry = '{ first = "1h", most = "1h", give-up = "1d" }'
    tables = [
        file("general-file"),
        discord("down", nothing_listens, retry=retry, breaker="{ failures = 1 }"),
        '[destinations.unset]\nkind = "discord"\nwebhook = { env = "NOT_SET" }\nfallback = ["general-file"]\n',
        route("general-file"),
    ]
    with DaemonProcess(folder, "".join(tables)).start() as running:
        yield running


def send(daemon: DaemonProcess, title: str) -> str:
    id_ = daemon.tocsin("send", title, "--wait").stdout.strip()
    assert len(id_) == 26
    return id_


def test_tail_shows_titles_of_signals(daemon: DaemonProcess) -> None:
    id_ = send(daemon, "Backup failed")
    lines = [line for line in daemon.tocsin("tail").stdout.splitlines() if line.endswith(id_)]
    assert [line.split()[1] for line in lines] == ["accepted", "sent"]
    assert all("Backup failed -> general-file: " in line for line in lines)
    events = map(json.loads, daemon.tocsin("tail", "--json").stdout.splitlines())
    assert {event.get("title") for event in events if event.get("id") == id_} == {"Backup failed"}


def test_tail_shows_the_last_lines_only(daemon: DaemonProcess) -> None:
    send(daemon, "Backup failed")
    assert len(daemon.tocsin("tail").stdout.splitlines()) > 2
    assert len(daemon.tocsin("tail", "-n", "2").stdout.splitlines()) == 2
    assert daemon.tocsin("tail", "--lines", "0").stdout == ""
    wrong = daemon.tocsin("tail", "-n", "-1")
    assert (wrong.returncode, "must be a whole number of at most 9 digits" in wrong.stderr) == (64, True)


def test_each_tail_follows_after_its_last_lines(daemon: DaemonProcess) -> None:
    with (
        closing(daemon.client.stream("tail", idle=60, follow=True, last=1)) as one,
        closing(daemon.client.stream("tail", idle=60, follow=True, last=1)) as other,
    ):
        next(one), next(other)  # both follow from here on
        id_ = send(daemon, "Later")
        for replies in (one, other):
            mine = (each["event"] for each in replies if each["event"].get("id") == id_)
            events = [next(mine), next(mine)]
            assert [(event["event"], event["title"]) for event in events] == [("accepted", "Later"), ("sent", "Later")]


def test_status_names_the_configuration(daemon: DaemonProcess) -> None:
    assert f"  configuration: {daemon.config}" in daemon.tocsin("status").stdout.splitlines()
    assert daemon.status()["configuration"] == str(daemon.config)


@pytest.mark.parametrize(
    "words",
    [["enable", "genral-file"], ["queue", "--destination", "genral-file"], ["send", "x", "--to", "genral-file"]],
)
def test_unknown_destination_is_answered_with_the_likely_one(daemon: DaemonProcess, words: list[str]) -> None:
    done = daemon.tocsin(*words)
    assert (done.returncode, done.stdout) == (65, "")
    assert done.stderr.endswith("there is no destination 'genral-file'; did you mean general-file?\n")


@pytest.mark.parametrize("words", [["why", "\udcff"], ["drop", "\udcff"], ["queue", "--destination", "\udcff"]])
def test_argument_that_is_not_utf8_is_an_unknown_name(daemon: DaemonProcess, words: list[str]) -> None:
    done = daemon.tocsin(*words)
    assert done.returncode == 65
    assert "Traceback" not in done.stderr


def test_why_takes_the_end_of_an_id_as_messages_show_it(daemon: DaemonProcess) -> None:
    id_ = send(daemon, "short")
    for shown in (id_[-8:], f"`{id_[-6:].lower()}`", f"…{id_[-6:]}", f" {id_.lower()} "):
        assert daemon.tocsin("why", shown).stdout.startswith(f"{id_}  short\n")
    assert daemon.tocsin("drop", id_[-8:]).returncode == daemon.tocsin("retry", id_[-8:]).returncode == 0


def test_why_names_the_ids_that_share_an_end(daemon: DaemonProcess) -> None:
    first, second = "01J9Z3NDEKTSV4RRFFQ69ZZZZZ", "01J9Z3NDEKTSV4RRFFQ68ZZZZZ"
    for id_ in (first, second):
        daemon.tocsin("send", "same end", "--id", id_)
    done = daemon.tocsin("why", "zzzzz")
    assert (done.returncode, done.stdout) == (65, "")
    assert f"several ids end in ZZZZZ: {first}, {second}; " in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [(["why", ""], 64), (["why", "`"], 64), (["why", "%%%%"], 65), (["why", "QQQQ"], 65), (["why", "Z"], 65)],
)
def test_why_of_no_id_says_so(daemon: DaemonProcess, words: list[str], code: int) -> None:
    done = daemon.tocsin(*words, "--json")
    assert done.returncode == code
    assert json.loads(done.stdout)["schema"] == 1


def test_queue_says_why_a_delivery_without_attempts_waits(daemon: DaemonProcess) -> None:
    daemon.tocsin("send", "first", "--to", "down")
    daemon.wait_for("breaker-opened", destination="down")
    daemon.tocsin("send", "second", "--to", "down")
    rows = json.loads(daemon.tocsin("queue", "--json").stdout)["deliveries"]
    reasons = {row["title"]: row["reason"] for row in rows}
    assert reasons["second"].startswith("down is failing: cannot connect")
    lines = daemon.tocsin("status").stdout.splitlines()
    assert any(line.startswith("    cannot connect (Connection refused)") for line in lines)
    assert re.search(r"waiting: \d normal, the oldest for ", " ".join(line.strip() for line in lines))


def test_enable_says_how_to_end_what_the_configuration_disables(daemon: DaemonProcess) -> None:
    done = daemon.tocsin("enable", "unset")
    assert done.returncode == 65
    assert "NOT_SET is not set; change that, and reload or restart the daemon" in done.stderr


def test_titles_are_escaped_where_stdout_cannot_encode_them(daemon: DaemonProcess) -> None:
    id_ = send(daemon, "café")
    daemon.env["PYTHONIOENCODING"] = "ascii"
    try:
        done = daemon.tocsin("why", id_)
    finally:
        del daemon.env["PYTHONIOENCODING"]
    assert (done.returncode, done.stderr) == (0, "")
    assert r"caf\xe9" in done.stdout


def test_ack_takes_the_end_of_an_id(daemon: DaemonProcess) -> None:
    id_ = send(daemon, "to acknowledge")
    assert daemon.tocsin("ack", id_[-7:].lower()).stdout.startswith(f"acknowledged {id_}")
    for name in ("no-such-key", "zz", "ABCDEF"):
        assert daemon.tocsin("ack", name).returncode == 65
