"""Every request ends in a value: an answer, or the truth about whether anything was sent."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import certifi
import pytest
import trio

from tocsind import __version__
from tocsind.destinations.http import LARGEST_ANSWER, Answer, Body, HttpClient, json_body, silence
from tocsind.destinations.network_settings import is_loopback
from tocsind.http_server import Bounds, Ending, Reply, Request, WebServer
from tocsind.policy.outcomes import Deferred, Refused, Unknown
from tocsind.secret import Secret

Serve = Callable[[trio.SocketStream], Awaitable[None]]
PATH = "api/webhooks/1/this-is-the-token"
NETWORK = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NETWORK:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """A TCP port that `serve` answers, as a URL."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/{PATH}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def answering(reply: Reply, *, seen: list[Request] | None = None) -> AsyncIterator[str]:
    """A server that answers every request with `reply` and keeps what it was asked in `seen`."""

    async def handle(request: Request) -> Reply:
        if seen is not None:
            seen.append(request)
        return reply

    async with listening(WebServer(handle, Bounds()).serve_connection) as url:
        yield url


async def asked(url: str, method: str = "POST", **options: Any) -> Any:
    async with HttpClient() as client:
        return await client.request(method, Secret(url), **{"deadline": 5.0, **options})


async def test_http_answer_has_status_headers_and_body() -> None:
    seen: list[Request] = []
    async with answering(Reply(200, {"X-Thing": "Yes"}, b'{"id": "1"}'), seen=seen) as url:
        answer = await asked(f"{url}?wait=true", body=json_body({"a": "é"}))
    assert (answer.status, answer.headers["x-thing"], answer.json(), answer.whole) == (200, "Yes", {"id": "1"}, True)
    assert (seen[0].method, seen[0].path, seen[0].query) == ("POST", f"/{PATH}", {"wait": "true"})
    assert seen[0].body == '{"a":"é"}'.encode()
    assert seen[0].headers["content-type"] == "application/json"
    assert seen[0].headers["user-agent"] == f"tocsin/{__version__} (+https://github.com/tocsin/tocsin)"


async def test_request_sends_its_own_headers_and_the_very_bytes_it_was_given(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Request] = []
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": Secret("Bearer tk_swordfish"), "User-Agent": "another"}
    async with answering(Reply(200), seen=seen) as url:
        await asked(url, "PUT", body=Body("text/plain", [b"one\x00", b"two"]), headers=headers)
    assert (seen[0].method, seen[0].body) == ("PUT", b"one\x00two")
    assert seen[0].headers["authorization"] == "Bearer tk_swordfish"
    assert seen[0].headers["user-agent"] == "another"
    assert "swordfish" not in caplog.text


async def test_header_that_no_request_can_carry_is_refused_without_naming_it() -> None:
    async with answering(Reply(200)) as url:
        for value in ("a\r\nb", "swordfish\u20ac"):
            outcome = await asked(url, headers={"Authorization": Secret(value)})
            assert isinstance(outcome, Refused)
            assert "swordfish" not in outcome.reason


async def test_http_get_has_no_body() -> None:
    seen: list[Request] = []
    async with answering(Reply(200), seen=seen) as url:
        await asked(url, "GET")
    assert seen[0].body == b""
    assert "content-type" not in seen[0].headers


async def test_http_redirect_is_an_answer_and_not_followed() -> None:
    seen: list[Request] = []
    async with answering(Reply(302, {"Location": "/elsewhere"}), seen=seen) as url:
        answer = await asked(url)
    assert answer.status == 302
    assert len(seen) == 1


async def test_cookies_are_not_kept() -> None:
    seen: list[Request] = []
    async with answering(Reply(200, {"Set-Cookie": "a=b; Path=/"}), seen=seen) as url, HttpClient() as client:
        for _ in range(2):
            await client.request("POST", Secret(url))
    assert all("cookie" not in request.headers for request in seen)


async def test_http_connection_is_used_again() -> None:
    connections: list[trio.SocketStream] = []

    async def handle(_request: Request) -> Reply:
        return Reply(200)

    async def serve(stream: trio.SocketStream) -> None:
        connections.append(stream)
        await WebServer(handle, Bounds()).serve_connection(stream)

    async with listening(serve) as url, HttpClient() as client:
        for _ in range(3):
            await client.request("POST", Secret(url))
    assert len(connections) == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"http://127.0.0.1:1/{PATH}", "cannot connect (Connection refused)"),
        (f"http://no-such-name.invalid/{PATH}", "cannot connect (DNS: the name does not resolve)"),
    ],
)
async def test_http_request_without_a_connection_is_unsent(url: str, told: str) -> None:
    assert await asked(url) == Deferred(f"{told}: nothing was sent", unsent=True)


async def test_http_request_is_unsent_after_a_failed_tls_handshake() -> None:
    async with answering(Reply(200)) as url:
        outcome = await asked(url.replace("http:", "https:"))
    assert outcome == Deferred("cannot connect (TLS handshake failed): nothing was sent", unsent=True)


async def mute(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await trio.sleep_forever()


async def test_http_request_is_unsent_when_the_deadline_ends_the_tls_handshake() -> None:
    async with listening(mute) as url:
        outcome = await asked(url.replace("http:", "https:"), deadline=1.0)
    assert isinstance(outcome, Deferred)
    assert not outcome.ambiguous
    assert outcome.reason.endswith("nothing was sent")


async def test_http_request_is_unknown_when_the_deadline_comes_after_sending() -> None:
    async with listening(mute) as url:
        outcome = await asked(url, deadline=1.0)
    assert isinstance(outcome, Unknown)
    assert outcome.reason.endswith("it may have arrived")


async def test_http_deadline_covers_a_trickling_answer() -> None:
    async def trickle(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(0.02)

    async with listening(quietly(trickle)) as url:
        with trio.fail_after(30):
            answer = await asked(url, deadline=1.0)
    assert (answer.status, answer.whole) == (200, False)


async def test_http_connection_that_ends_without_an_answer_is_unknown() -> None:
    async with answering(Reply(200, ending=Ending.DROPPED)) as url:
        outcome = await asked(url)
    assert outcome == Unknown("the connection ended without a proper answer: it may have arrived")


async def test_http_answer_that_is_no_http_is_unknown() -> None:
    async def babble(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"220 smtp.example.com ready\r\n\r\n")

    async with listening(babble) as url:
        assert isinstance(await asked(url), Unknown)


async def test_http_status_is_known_without_its_body() -> None:
    async with answering(Reply(429, {"Retry-After": "2"}, b"x" * 100, ending=Ending.CUT)) as url:
        answer = await asked(url)
    assert (answer.status, answer.headers["retry-after"], answer.body, answer.whole) == (429, "2", b"x" * 50, False)


async def test_http_endless_body_is_read_to_the_bound() -> None:
    async def pour(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send_all(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    async with listening(quietly(pour)) as url:
        answer = await asked(url, deadline=20.0)
        assert (len(answer.body), answer.whole) == (LARGEST_ANSWER, False)


async def test_http_body_of_just_the_bound_is_whole() -> None:
    async with answering(Reply(200, body=b"x" * LARGEST_ANSWER)) as url:
        answer = await asked(url)
    assert (len(answer.body), answer.whole) == (LARGEST_ANSWER, True)


@pytest.mark.parametrize(
    "url",
    ["gopher://example.com/", "no url", "http://exa\nmple.com/", "http://[::1", "http://xn--a.invalid/", "http://"],
)
async def test_invalid_url_is_an_outcome(url: str) -> None:
    outcome = await asked(url)
    assert isinstance(outcome, (Refused, Deferred))


@pytest.mark.parametrize(
    ("host", "ours"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("fake.localhost", True),
     ("discord.com", False), ("10.0.0.1", False), ("localhost.example.com", False), ("", False)],
)  # fmt: skip
def test_loopback_hosts_are_known(host: str, ours: bool) -> None:
    assert is_loopback(host) == ours


async def test_http_proxy_carries_outside_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Request] = []
    async with answering(Reply(204), seen=seen) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.removesuffix(PATH))
        answer = await asked("http://far.invalid/x")
    assert answer.status == 204
    assert seen[0].path == "http://far.invalid/x"


async def test_http_proxy_is_not_used_for_loopback_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with answering(Reply(204)) as url:
        answer = await asked(url)
    assert answer.status == 204


async def test_http_request_is_unsent_when_the_proxy_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(Reply(403)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.removesuffix(PATH))
        outcome = await asked("https://far.invalid/x")
    assert outcome == Deferred("the proxy refused: nothing was sent", unsent=True)


async def test_http_request_is_unsent_when_the_proxy_closes_after_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")

    async with listening(hang_up) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.removesuffix(PATH))
        outcome = await asked("https://far.invalid/x")
    assert isinstance(outcome, Deferred)
    assert outcome.reason.endswith("nothing was sent")


async def test_passwords_from_a_netrc_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[Request] = []
    async with answering(Reply(204), seen=seen) as url:
        await asked(url)
    assert "authorization" not in seen[0].headers


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ALL_PROXY", "gopher://u:hunter2@127.0.0.1:1", "(gopher://127.0.0.1:1)"),
        ("HTTPS_PROXY", "nonsense://x", "(nonsense://x)"),
        ("HTTPS_PROXY", "http://u:hunter2@x:99999", "is no URL of a proxy"),
        ("ALL_PROXY", "socks5://u:hunter2@127.0.0.1:1", "httpx[socks]"),
        ("SSL_CERT_FILE", "/nowhere/at/all.pem", "No such file or directory"),
        ("SSL_CERT_DIR", "/nowhere/at/all", "openssl rehash"),
    ],
)
async def test_http_broken_environment_defers_only_requests_that_need_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(name, value)
    outcome = await asked("https://far.invalid/x")
    assert isinstance(outcome, Deferred)
    assert outcome.unsent
    assert outcome.reason.startswith(f"{name} ")
    assert told in outcome.reason
    assert "hunter2" not in outcome.reason
    async with answering(Reply(204)) as url:
        assert (await asked(url)).status == 204


async def test_certificates_that_a_person_mends_are_used_from_the_next_request_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    async with HttpClient() as client, answering(Reply(204)) as url:
        assert (await client.request("POST", Secret(url))).status == 204  # type: ignore[union-attr]
        secure = Secret(url.replace("http:", "https:"))
        assert "SSL_CERT_FILE" in (await client.request("POST", secure)).reason  # type: ignore[union-attr]
        await trio.to_thread.run_sync(shutil.copy, certifi.where(), bundle)
        assert "TLS handshake failed" in (await client.request("POST", secure)).reason  # type: ignore[union-attr]


async def test_http_proxy_that_httpx_rejects_defers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://-a.-b:1")
    outcome = await asked("https://far.invalid/x")
    assert isinstance(outcome, Deferred)
    assert outcome.unsent


async def test_http_proxy_is_not_used_for_exempt_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "::1/128,far.invalid")
    assert "DNS" in (await asked("http://far.invalid/x")).reason
    assert "Connection refused" in (await asked("http://farther.invalid/x")).reason


async def test_http_client_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with answering(Reply(200)) as url, HttpClient() as client:
        for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
            logging.getLogger(name).setLevel(logging.DEBUG)
            logging.getLogger(name).propagate = True
        await client.request("POST", Secret(url))
        await client.request("POST", Secret(f"http://127.0.0.1:1/{PATH}"))
    silence()
    assert not caplog.records


async def test_http_outcome_contains_no_url() -> None:
    async with answering(Reply(200, ending=Ending.DROPPED)) as url:
        for target in (url, url.replace("http:", "https:"), f"http://127.0.0.1:1/{PATH}", f"http://x.invalid/{PATH}"):
            outcome = await asked(target)
            assert "token" not in repr(outcome)
            assert "127.0.0.1" not in repr(outcome)


def test_http_answer_repr_shows_neither_body_nor_headers() -> None:
    answer = Answer(200, {"set-cookie": "secret"}, b'{"token": "secret"}', whole=False)
    assert repr(answer) == "Answer(status=200, 19 bytes, cut short)"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_http_body_that_is_no_json_reads_as_none(body: bytes) -> None:
    assert Answer(200, {}, body).json() is None


def quietly(serve: Serve) -> Serve:
    """`serve`, not minding that the client leaves."""

    async def served(stream: trio.SocketStream) -> None:
        try:
            await serve(stream)
        except trio.BrokenResourceError:
            return

    return served
