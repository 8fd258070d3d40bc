"""`tocsind check --online`: each service is asked, none gets a message, and every question ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
import trio
from tests import fork_server
from tests.contracts.kinds import SUBJECTS, Subject, parsed
from tests.harness import PATIENCE, FakeProcess, service_process
from tests.shared.conftest import RedisServer

from tocsind.config import SharedOptions, parse
from tocsind.config.shared import EngineAddress
from tocsind.destinations.http import HttpClient
from tocsind.host.state_folder import locked
from tocsind.secret import Secret
from tocsind.setup import online
from tocsind.setup.online import Finding
from tocsind.shared.identity import identity_of
from tocsind.shared.presence import Part, note_of
from tocsind.shared.redis_engine import RedisEngine

ASKED = ("discord", "email", "ntfy", "slack", "telegram")  # kinds whose service has a question without side effects


async def finding(subject: Subject, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Finding:
    config = parsed(subject, folder, monkeypatch, deadline="20s")
    found = await online.ask(config.destinations, folder)
    assert found["f"] == Finding(0, "")
    return found["d"]


@pytest.mark.parametrize("kind", SUBJECTS)
async def test_every_kind_is_asked_without_posting(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = SUBJECTS[kind]()
    async with subject.serving():
        found = await finding(subject, tmp_path, monkeypatch)
    assert (found.exit_code, bool(found.words), subject.titles()) == (0, True, [])
    assert not any(secret in found.words for secret in subject.environment().values())


@pytest.mark.parametrize("kind", ASKED)
async def test_service_that_refuses_is_a_mistake_of_the_configuration(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = SUBJECTS[kind]()
    async with subject.serving():
        subject.kill()
        found = await finding(subject, tmp_path, monkeypatch)
    assert found.exit_code == 78
    assert found.line.startswith("refused: ")
    assert not any(secret in found.words for secret in subject.environment().values())


@pytest.mark.parametrize("kind", SUBJECTS)
async def test_service_that_is_away_is_not_reached(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = SUBJECTS[kind]()
    if not subject.is_remote:
        pytest.skip("it is on this machine")
    async with subject.serving():
        pass  # it has a port now, at which nothing listens any more
    found = await finding(subject, tmp_path, monkeypatch)
    assert found.exit_code == 69
    assert found.line.startswith("not reached: ")
    assert not any(secret in found.words for secret in subject.environment().values())


async def test_questions_are_asked_all_at_once_and_end_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "LONGEST", 1.0)
    (silent,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = f"http://127.0.0.1:{silent.socket.getsockname()[1]}"
    table = {f"n{number}": {"kind": "ntfy", "server": server, "topic": "alerts"} for number in range(20)}
    config = parse(tomli_w.dumps({"destinations": table, "routes": [{"to": ["n0"]}]}), "alerts.toml")
    begin = trio.current_time()
    found = await online.ask(config.destinations, tmp_path)
    assert trio.current_time() - begin < 15  # one after the other they would take twenty
    assert {each.line for each in found.values()} == {"not reached: no answer within 1 s"}
    await silent.aclose()


async def test_connecting_sends_nothing() -> None:
    received: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        received.append(await stream.receive_some())

    async with trio.open_nursery() as nursery, HttpClient() as client:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        assert await client.connect(Secret(f"http://127.0.0.1:{port}/hooks/x")) is None
        with trio.fail_after(PATIENCE):
            while not received:  # noqa: ASYNC110 - the end of the connection
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert received == [b""]


def check(folder: Path, destinations: dict[str, Any], env: dict[str, str], *options: str) -> Any:
    first = next(iter(destinations))
    (folder / "alerts.toml").write_text(tomli_w.dumps({"destinations": destinations, "routes": [{"to": [first]}]}))
    return fork_server.run(
        [sys.executable, "-m", "tocsind", "check", "--config", "alerts.toml", *options],
        cwd=folder,
        env={**os.environ, "STATE_DIRECTORY": str(folder / "state"), **env},
        timeout=PATIENCE,
    )


def test_command_has_a_line_for_each_destination_and_no_secret(tmp_path: Path, fake: FakeProcess) -> None:
    discord = {"kind": "discord", "webhook": {"env": "HOOK"}}
    absent = {"kind": "discord", "webhook": {"env": "NOT_SET_ANYWHERE"}}
    with service_process("ntfy") as phone:
        env = {"HOOK": fake.webhooks[0]["url"], **phone.environment}
        table = {"signals": discord, "phone": phone.destination, "absent": absent}
        done = check(tmp_path, table, env, "--online")
        wrong = check(tmp_path, table, env | {"FAKE_NTFY_TOKEN": "tk_ofanotheraccountatall"}, "--online", "--json")
        assert phone.control("GET", "counts")["requests"] == 0
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{'signals':<20} discord  ready: the webhook {fake.webhooks[0]['name']} answers"
    assert lines[1] == f"{'phone':<20} ntfy     ready: the server answers and knows the token"
    assert lines[2] == f"{'absent':<20} discord  disabled: NOT_SET_ANYWHERE is not set"
    assert fake.messages() == []
    report = json.loads(wrong.stdout)
    assert (wrong.returncode, report["ok"]) == (78, False)
    by_name = {each["name"]: each.get("online") for each in report["destinations"]}
    assert by_name["signals"]["ok"] is True
    assert by_name["phone"] == {"ok": False, "reason": "401 from ntfy: unauthorized"}
    assert by_name["absent"] is None
    assert "tk_ofanother" not in wrong.stdout + wrong.stderr
    away = check(tmp_path, table, env, "--online")  # the fake ntfy has ended
    assert away.returncode == 69
    assert "phone                ntfy     not reached: cannot connect" in away.stdout
    assert "1 of 2 destinations would take no alert now" in away.stdout


def test_plain_check_asks_no_service(tmp_path: Path) -> None:
    with service_process("telegram") as chat:
        env = chat.environment | {"FAKE_TELEGRAM_BOT": "123456789:" + "A" * 35}
        done = check(tmp_path, {"chat": chat.destination}, env)
    assert (done.returncode, done.stdout.splitlines()[0].split()) == (0, ["chat", "telegram", "ready"])


# --- the engine of several hosts ------------------------------------------------------------------------------------------


async def asked(url: str, folder: Path = Path("/nowhere")) -> Finding:
    found = await online.ask_engine(SharedOptions(url=Secret(url)), folder)
    assert found is not None
    return found


async def test_engine_that_answers_is_ready_and_its_settings_are_named(redis_server: RedisServer) -> None:
    assert await asked(redis_server.url) == Finding(0, "0 hosts there now")
    redis_server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    found = await asked(redis_server.url)
    assert found.exit_code == 0
    assert "maxmemory-policy is allkeys-lru" in found.words


async def test_engine_that_refuses_the_password_or_a_command_is_a_mistake(redis_server: RedisServer) -> None:
    redis_server.command("ACL", "SETUSER", "tocsin", "on", ">right-one", "~tocsin:*", "+info", "+auth", "+select")
    assert (await asked(f"{redis_server.url}?db=0")).exit_code == 0
    address = redis_server.url.replace("unix://", "unix://tocsin:wrong-one@")
    found = await asked(address)
    assert found.exit_code == 78
    assert "wrong-one" not in found.line
    assert (await asked(address.replace("wrong-one", "right-one"))).exit_code == 78, "it may run no script"


async def test_engine_that_is_away_is_not_reached(tmp_path: Path) -> None:
    assert (await asked(f"unix://{tmp_path}/engine.sock")).exit_code == 69
    assert await online.ask_engine(SharedOptions(), tmp_path) is None


async def test_state_folder_of_a_host_that_runs_elsewhere_is_named(redis_server: RedisServer, tmp_path: Path) -> None:
    engine, host = RedisEngine(EngineAddress(path=str(redis_server.socket))), identity_of(tmp_path)
    await engine.note(host.name, b"note", host.start)
    found = await asked(redis_server.url, tmp_path)
    assert found.exit_code == 0
    assert f"{host.name} was there " in found.words
    assert "the folder is a copy" in found.words
    with locked(tmp_path):
        assert await asked(redis_server.url, tmp_path) == Finding(0, "1 host there now")
    stopped = note_of(("ok", (), {}), Part(), stopped=True)
    await engine.note(host.name, msgspec.msgpack.encode(stopped), host.start, leaves=True)
    assert await asked(redis_server.url, tmp_path) == Finding(0, "1 host there now")
    await engine.aclose()


def test_check_online_names_the_engine(tmp_path: Path) -> None:
    config = {
        "shared": {"url": f"unix://{tmp_path}/engine.sock"},
        "destinations": {"f": {"kind": "file", "path": "f"}},
        "routes": [{"to": ["f"]}],
    }
    (tmp_path / "alerts.toml").write_text(tomli_w.dumps(config))
    command = [sys.executable, "-m", "tocsind", "check", "--online", "--config", str(tmp_path / "alerts.toml")]
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
    shown = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=PATIENCE)
    assert shown.returncode == 69
    assert "[shared]             engine   not reached: " in shown.stdout
    assert "the engine cannot be used, 1 destinations" in shown.stdout
    shown = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, check=False, env=environment, timeout=PATIENCE
    )
    assert json.loads(shown.stdout)["shared"]["online"]["ok"] is False
