"""The source of a webhook's secret: a missing one disables its destination, an unsafe one is a mistake, and none is shown."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tocsind.config import ConfigurationInvalid, DiscordOptions, load, parse, report
from tocsind.config.reader import Findings, Location

URL = "https://discord.com/api/webhooks/123/ToKeN"
NORMAL = "https://discord.com/api/v10/webhooks/123/ToKeN"
TEXT = """\
[destinations.d]
kind = "discord"
webhook = {webhook}
fallback = ["f"]
[destinations.f]
kind = "file"
path = "f"
[[routes]]
to = ["d"]
"""


def discord(webhook: str, source: str = "alerts.toml") -> tuple[str | None, str | None]:
    """The URL that was read and the reason why the destination is disabled."""
    config = parse(TEXT.replace("{webhook}", webhook), source)
    options = config.destinations["d"].options
    assert isinstance(options, DiscordOptions)
    assert "ToKeN" not in f"{config!r}{config}{report(config)}"
    return options.webhook.reveal() if options.webhook else None, config.destinations["d"].disabled


def problem(webhook: str) -> str:
    with pytest.raises(ConfigurationInvalid) as caught:
        discord(webhook)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key.startswith("destinations.d.webhook")) == (3, True)
    assert "ToKeN" not in f"{caught.value}{caught.value!r}{report(caught.value)}"
    return problem.message


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "webhook"
    path.write_text(f"\n {URL} \n")
    path.chmod(0o600)
    return path


def test_webhook_is_read_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", f" {URL}\n")
    assert discord('{ env = "HOOK" }') == (NORMAL, None)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_webhook_variable_that_is_not_set_disables_the_destination(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    if value is not None:
        monkeypatch.setenv("HOOK", value)
    assert discord('{ env = "HOOK" }') == (None, "HOOK is not set")


def test_webhook_variable_without_a_url_is_a_mistake_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "http://discord.com/api/webhooks/123/ToKeN")
    assert problem('{ env = "HOOK" }').startswith("HOOK must be https")


def test_url_in_place_of_a_name_is_refused_and_not_quoted() -> None:
    assert "not its value" in problem(f'{{ env = "{URL}" }}')
    assert "not the secret itself" in problem(f'{{ file = "{URL}" }}')
    assert "plain name" in problem(f'{{ credential = "{URL}" }}')
    assert "unknown source" in problem(f'{{ "{URL}" = "env" }}')


def test_webhook_is_read_from_a_file(secret: Path) -> None:
    assert discord(f'{{ file = "{secret}" }}') == (NORMAL, None)


def test_relative_secret_file_is_beside_the_configuration(secret: Path) -> None:
    assert discord('{ file = "webhook" }', source=str(secret.parent / "alerts.toml")) == (NORMAL, None)


def test_missing_or_empty_secret_file_disables_the_destination(secret: Path) -> None:
    assert discord(f'{{ file = "{secret}-2" }}') == (None, f"{secret}-2 does not exist")
    secret.write_text("\n")
    assert discord(f'{{ file = "{secret}" }}') == (None, f"{secret} is empty")


@pytest.mark.parametrize(
    ("mode", "private"), [(0o604, 600), (0o602, 600), (0o620, 600), (0o644, 640), (0o660, 640), (0o666, 640)]
)
def test_secret_file_open_to_others_is_refused_with_a_command(secret: Path, mode: int, private: int) -> None:
    secret.chmod(mode)
    message = problem(f'{{ file = "{secret}" }}')
    assert message.startswith(f"{secret} can be ")
    assert message.endswith(f"; run: chmod {private} {secret}")
    subprocess.run(message.partition("run: ")[2], shell=True, check=True)
    assert discord(f'{{ file = "{secret}" }}') == (NORMAL, None)


def test_secret_file_readable_for_its_group_is_read(secret: Path) -> None:
    secret.chmod(0o640)
    assert discord(f'{{ file = "{secret}" }}') == (NORMAL, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_secret_file_of_another_user_is_refused(secret: Path) -> None:
    os.chown(secret, 12345, -1)
    message = problem(f'{{ file = "{secret}" }}')
    assert "belongs to another user (uid 12345)" in message
    subprocess.run(message.partition("run: ")[2], shell=True, check=True)
    assert discord(f'{{ file = "{secret}" }}') == (NORMAL, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_secret_behind_a_link_of_another_user_is_not_read(secret: Path) -> None:
    link = secret.parent / "link"
    link.symlink_to(secret)
    assert discord(f'{{ file = "{link}" }}') == (NORMAL, None)
    os.chown(link, 12345, -1, follow_symlinks=False)
    assert f"{link} is not read: the link link belongs to" in problem(f'{{ file = "{link}" }}')


def test_home_in_the_path_of_a_secret_is_expanded(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(secret.parent))
    assert discord(f'{{ file = "~/{secret.name}" }}') == (NORMAL, None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_secret_file_without_read_permission_is_a_mistake(secret: Path) -> None:
    secret.chmod(0)
    assert "cannot be read: Permission denied" in problem(f'{{ file = "{secret}" }}')


def test_secret_file_that_cannot_be_opened_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be read: Too many levels" in problem(f'{{ file = "{tmp_path}/loop" }}')


def test_location_shows_its_place_and_not_its_value() -> None:
    assert (
        repr(Location(URL, ("destinations", "d", "webhook"), Findings("x", {}))) == "<Location destinations.d.webhook>"
    )


def test_secret_that_is_a_pipe_or_folder_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "no regular file" in problem(f'{{ file = "{tmp_path}/pipe" }}')
    assert "no regular file" in problem(f'{{ file = "{tmp_path}" }}')


@pytest.mark.parametrize(
    ("content", "message"), [(b"\xff\xfe", "no text in UTF-8"), (b"x" * 5000, "longer than 4096 bytes")]
)
def test_secret_file_that_holds_no_secret_is_a_mistake(secret: Path, content: bytes, message: str) -> None:
    secret.write_bytes(content)
    assert message in problem(f'{{ file = "{secret}" }}')


def test_webhook_is_read_from_a_credential(monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secret.parent))
    assert discord('{ credential = "webhook" }') == (NORMAL, None)
    missing = "the credential other is not there: the service needs LoadCredential=other, and a file to load"
    assert discord('{ credential = "other" }') == (None, missing)


def test_credential_outside_a_service_disables_the_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    reason = discord('{ credential = "webhook" }')[1]
    assert reason == "the credential webhook is not there: CREDENTIALS_DIRECTORY is set in a service only"


@pytest.mark.parametrize("name", ["../webhook", "..", "a/b", "a b"])
def test_credential_with_a_path_is_refused(name: str) -> None:
    assert "plain name" in problem(f'{{ credential = "{name}" }}')


@pytest.mark.parametrize(
    "webhook", ["5", "[]", "{}", '""', '{ env = "A", file = "b" }', '{ envv = "A" }', "{ env = 5 }", '{ env = "" }']
)
def test_webhook_without_a_source_is_a_mistake(webhook: str) -> None:
    assert problem(webhook)


def test_bare_webhook_url_is_read_with_a_warning_that_masks_it(tmp_path: Path) -> None:
    assert discord(f'"{URL}"') == (NORMAL, None)
    file = tmp_path / "alerts.toml"
    file.write_text(TEXT.replace("{webhook}", f'"{URL}"'))
    file.chmod(0o600)
    (warning,) = load(str(file)).warnings
    assert warning.startswith(f"{file}:3: destinations.d.webhook: a webhook URL is a secret")
    assert "every user" not in warning
    assert "ToKeN" not in warning


def test_bare_webhook_url_in_a_world_readable_file_has_a_stronger_warning(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(TEXT.replace("{webhook}", f'"{URL}"'))
    file.chmod(0o644)
    assert "every user of this host can read this one" in load(str(file)).warnings[0]


def test_webhook_on_a_foreign_host_needs_allow_host() -> None:
    assert "allow-host = true" in problem('"https://proxy.example/api/webhooks/1/ToKeN"')
    config = parse(TEXT.replace("{webhook}", '"https://proxy.example/api/webhooks/1/t"\nallow-host = true'), "x")
    options = config.destinations["d"].options
    assert isinstance(options, DiscordOptions)
    assert options.webhook
    assert options.webhook.reveal() == "https://proxy.example/api/v10/webhooks/1/t"


def hashes(webhook: str) -> tuple[str, str]:
    """The fingerprint and the endpoint, which may be stored."""
    destination = parse(TEXT.replace("{webhook}", webhook), "x").destinations["d"]
    assert "ToKeN" not in destination.endpoint + destination.fingerprint
    return destination.fingerprint, destination.endpoint


def test_threads_of_one_webhook_have_two_fingerprints_and_one_endpoint() -> None:
    (here, limit), (thread, same) = hashes(f'"{URL}"'), hashes(f'"{URL}?thread_id=5"')
    assert here != thread
    assert limit == same


def test_two_webhooks_have_two_endpoints_also_when_not_set() -> None:
    assert hashes(f'"{URL}"')[1] != hashes(f'"{URL}x"')[1]
    config = parse(TEXT.replace("{webhook}", '{ env = "NOT_SET" }') + TEXT.partition("[[")[0].replace(".d]", ".e]")
                   .replace("{webhook}", '{ env = "NOT_SET" }').partition("[destinations.f]")[0], "x")  # fmt: skip
    assert len({destination.endpoint for destination in config.destinations.values()}) == 3
