"""Servers that answer with an error or with garbage: the engine is away, and may be asked again."""

from __future__ import annotations

import random
import ssl
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
from tests.harness import need
from tests.shared.conftest import RedisServer

from tocsind.config.shared import EngineAddress
from tocsind.secret import Secret
from tocsind.shared.engine import Cause, EngineAway
from tocsind.shared.redis_engine import RedisEngine

REFUSALS = {
    "LOADING Redis is loading the dataset in memory": (Cause.LOADING, "loading"),
    "NOAUTH Authentication required.": (Cause.PASSWORD, "uthentication"),
    "WRONGPASS invalid username-password pair or user is disabled.": (Cause.PASSWORD, "invalid"),
    "NOPERM this user has no permissions to run the 'evalsha' command": (Cause.PERMISSION, "permission"),
    "NOPERM ACL failure in script: User u has no permissions to run the 'xadd' command": (Cause.PERMISSION, "xadd"),
    "ERR The user executing the script can't run this command or subcommand script: 0": (Cause.PERMISSION, "command"),
    "READONLY You can't write against a read only replica.": (Cause.READ_ONLY, "read only"),
    "OOM command not allowed when used memory > 'maxmemory'.": (Cause.FULL, "maxmemory"),
    f"OOM command not allowed. script: {'6e' * 20}, on @user_script:1.": (Cause.FULL, "not allowed."),
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.": (
        Cause.UNSAVED,
        "persist",
    ),
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": (Cause.REFUSES, "MASTER"),
    "NOREPLICAS Not enough good replicas to write.": (Cause.REFUSES, "replicas"),
    "BUSY Redis is busy running a script.": (Cause.REFUSES, "busy"),
    "CLUSTERDOWN The cluster is down": (Cause.REFUSES, "cluster"),
    "MOVED 3999 127.0.0.1:6381": (Cause.REFUSES, "6381"),
    "ERR max number of clients reached": (Cause.REFUSES, "clients"),
}
GARBAGE = (
    b"",
    b"\r\n",
    b"$-5\r\n",
    b"$99999999999999999999\r\n",
    b"$5\r\nabc",
    b":x\r\n",
    b"*1000000000\r\n:1\r\n",
    b"*1\r\n" * 5000,
    b"*2\r\n$1\r\na\r\n*-1\r\n",
    b"+OK\r\n",
    b"%1\r\n+a\r\n+b\r\n",
    b"\x00\xff" * 100,
    b"HTTP/1.1 200 OK\r\n\r\n",
    *(random.Random(seed).randbytes(64) + b"\r\n" for seed in range(20)),
)


async def steps(answers: list[bytes]) -> list[tuple[Cause, str]]:
    """What a step raises against a server that gives each connection the next of these answers, to all that it is asked."""
    found, left = list[tuple[Cause, str]](), iter(answers)

    async def serve(stream: trio.SocketStream) -> None:
        answer = next(left, b"")
        async for _ in stream:
            await stream.send_all(answer)
            if not answer.startswith(b"-"):
                return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        engine = RedisEngine(EngineAddress("127.0.0.1", listeners[0].socket.getsockname()[1]))
        for _ in answers:
            with pytest.raises(EngineAway) as away:
                await engine.tend("t", "h", token="", wants=True)
            assert str(away.value).startswith(f"the engine {away.value.cause.says}")
            found.append((away.value.cause, away.value.detail))
        await engine.aclose()
        nursery.cancel_scope.cancel()
    return found


async def test_each_refusal_is_named_and_leaves_a_client_that_works() -> None:
    found = await steps([f"-{text}\r\n".encode() for text in REFUSALS])
    assert [cause for cause, _ in found] == [cause for cause, _ in REFUSALS.values()]
    assert [text for (_, text), (_, word) in zip(found, REFUSALS.values(), strict=True) if word not in text] == []


async def test_hash_of_a_script_is_left_out() -> None:
    ((_, text),) = await steps([f"-OOM command not allowed. script: {'6e' * 20}, on @user_script:30.\r\n".encode()])
    assert text == "command not allowed."


async def test_answer_that_cannot_be_read_means_an_engine_that_is_away() -> None:
    assert len(await steps(list(GARBAGE))) == len(GARBAGE)


async def test_a_password_that_the_engine_asks_for_later_is_named_and_works_when_it_is_lifted(
    redis_server: RedisServer,
) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    await engine.tend("t", "h", token="", wants=True)
    redis_server.command("CONFIG", "SET", "requirepass", "hidden-word")
    redis_server.command("-a", "hidden-word", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(EngineAway):  # the connection has gone
        await engine.tend("t", "h", token="", wants=True)
    with pytest.raises(EngineAway, match="password"):
        await engine.tend("t", "h", token="", wants=True)
    redis_server.command("-a", "hidden-word", "CONFIG", "SET", "requirepass", "")
    await engine.tend("t", "h", token="", wants=True)
    await engine.aclose()


async def test_a_wrong_password_of_a_user_is_not_shown(redis_server: RedisServer) -> None:
    redis_server.command("ACL", "SETUSER", "one", "on", ">right-word", "~tocsin:*", "+@all")
    address = EngineAddress(path=str(redis_server.socket), user="one", password=Secret("wrong-word"))
    engine = RedisEngine(address)
    with pytest.raises(EngineAway) as refused:
        await engine.tend("t", "h", token="", wants=True)
    assert "wrong-word" not in str(refused.value)
    await engine.aclose()


async def test_a_certificate_of_another_name_is_refused_and_said(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    names = ("-subj", "/CN=redis.example.com", "-addext", "subjectAltName=DNS:redis.example.com")
    making = [need("openssl"), "req", *kind, *names, "-keyout", str(key), "-out", str(certificate)]
    await trio.run_process(making, capture_stderr=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_ssl_over_tcp, serve, 0, context, host="127.0.0.1"))
        port = listeners[0].transport_listener.socket.getsockname()[1]
        address = EngineAddress("127.0.0.1", port, tls=True, password=Secret("hidden-word"), ca=str(certificate))
        engine = RedisEngine(address)
        with pytest.raises(EngineAway, match=r"not valid for '127\.0\.0\.1'") as refused:
            await engine.tend("t", "h", token="", wants=True)
        assert "hidden-word" not in str(refused.value)
        await engine.aclose()
        nursery.cancel_scope.cancel()
