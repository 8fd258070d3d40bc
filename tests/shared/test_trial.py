"""The trial of an engine finds what a hand-over would find, and leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.harness import until
from tests.shared.conftest import RedisServer

from tocsind.config.shared import EngineAddress
from tocsind.secret import Secret
from tocsind.shared import redis_engine, scope_scripts, scripts, trial
from tocsind.shared.engine import Cause, Engine, EngineAway
from tocsind.shared.redis_engine import FORBIDDEN, RedisEngine

NAME = "trial-of-a-test"
USER = next(
    line
    for line in Path(__file__).parents[2].joinpath("docs/how-to/hosts.md").read_text().splitlines()
    if line.startswith("user tocsin on ")
).removeprefix("user tocsin ")
COMMANDS = [word[1:] for word in USER.split() if word.startswith("+")]
UNTRIED = {"auth", "ping", "select"}  # for the connection, where it needs them


@pytest.fixture
async def restricted(redis_server: RedisServer) -> AsyncIterator[RedisEngine]:
    """An engine as the user of the documentation."""
    permit(redis_server)
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket), user="tocsin", password=Secret("PASSWORD")))
    yield engine
    await engine.aclose()


def permit(server: RedisServer, *rules: str) -> None:
    """The user of the documentation, and then these rules."""
    assert server.command("ACL", "SETUSER", "tocsin", "reset", *USER.split(), *rules) == "OK"


async def refused(engine: Engine) -> EngineAway:
    with pytest.raises(EngineAway) as found:
        await engine.try_out(NAME)
    return found.value


async def test_trial_leaves_no_key(engine: Engine, request: pytest.FixtureRequest) -> None:
    await engine.try_out(NAME)
    await engine.try_out(NAME)
    if isinstance(engine, RedisEngine):
        assert request.getfixturevalue("redis_server").command("KEYS", "*") == ""


async def test_trial_that_is_refused_leaves_no_key(restricted: RedisEngine, redis_server: RedisServer) -> None:
    permit(redis_server, "-zscore")  # of a late step
    await refused(restricted)
    assert redis_server.command("KEYS", "*") == ""


async def test_user_of_the_documentation_passes(restricted: RedisEngine) -> None:
    await restricted.try_out(NAME)
    await restricted.wait([NAME], NAME)
    assert await restricted.complaints() == []


async def what_is_lacking(engine: RedisEngine, channel: str) -> str:
    try:
        await engine.try_out(NAME)
        await engine.wait([NAME, channel], NAME)
        return "".join(each for each in await engine.complaints() if each.startswith(FORBIDDEN))
    except EngineAway as away:
        return str(away) if away.cause is Cause.PERMISSION else ""


async def test_every_command_that_is_lacking_is_named(restricted: RedisEngine, redis_server: RedisServer) -> None:
    await restricted.try_out(NAME)
    unnamed = []
    for command in set(COMMANDS) - UNTRIED:
        permit(redis_server, f"-{command}")
        said = await what_is_lacking(restricted, command)
        if command.partition("|")[0] not in said:
            unnamed.append((command, said))
    assert unnamed == []


def test_list_of_commands_has_all_that_the_scripts_call() -> None:
    texts = [getattr(module, name) for module in (scripts, scope_scripts) for name in dir(module) if name.isupper()]
    called = set(re.findall(r"redis\.p?call\('([A-Z]+)'", " ".join(text for text in texts if isinstance(text, str))))
    tried = set(re.findall(r"\{'([A-Z]+)'", trial.FORBIDDEN_COMMANDS))
    assert called
    assert called - tried == set()
    direct = set(re.findall(r"client: client\.([a-z]+)\(", Path(redis_engine.__file__).read_text())) - {"delete"}
    assert {name.upper() for name in direct} - tried == set()
    assert {name.lower() for name in tried} <= set(COMMANDS)


@pytest.mark.parametrize("rules", [("resetkeys", "~other:*"), ("resetchannels", "&other:*")])
async def test_keys_and_channels_of_others_only_are_a_lack_of_permission(
    restricted: RedisEngine, redis_server: RedisServer, rules: tuple[str, str]
) -> None:
    permit(redis_server, *rules)
    assert (await refused(restricted)).cause is Cause.PERMISSION


async def test_full_engine_and_replica_are_found(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    redis_server.command("CONFIG", "SET", "maxmemory", "1mb")
    assert (await refused(engine)).cause is Cause.FULL
    assert await engine.hosts() == [], "it answers all the same"
    redis_server.command("CONFIG", "SET", "maxmemory", "0")
    await engine.try_out(NAME)
    redis_server.command("REPLICAOF", "127.0.0.1", "1")
    assert (await refused(engine)).cause is Cause.READ_ONLY
    await engine.aclose()


async def test_engine_that_cannot_save_is_found(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    (redis_server.folder / "dump.rdb").mkdir()  # so that it cannot write the file
    redis_server.command("CONFIG", "SET", "save", "3600 1")
    redis_server.command("BGSAVE")
    until(lambda: "rdb_last_bgsave_status:err" in redis_server.command("INFO", "persistence"))
    assert (await refused(engine)).cause is Cause.UNSAVED
    await engine.aclose()
