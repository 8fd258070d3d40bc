"""A server with invalid responses: the daemon runs on, other destinations are served, and the status names the problem."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, discord, file, route


class Liar:
    """Answers every request on loopback with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/api/webhooks/1/token"

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(PATIENCE)
                if peer.recv(65536):
                    peer.sendall(self._answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def liars() -> Iterator[list[Liar]]:
    started: list[Liar] = []
    yield started
    for liar in started:
        liar.close()


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        ("200 OK", "deferred"),
        ("400 Bad Request", "deferred"),
        ("429 Too Many Requests", "rate-limited"),
        ("502 Bad Gateway", "deferred"),
    ],
)
def test_response_that_is_not_utf8_fails_the_attempt_only(
    tmp_path: Path, liars: list[Liar], status: str, fact: str
) -> None:
    liars.append(Liar(http(status, b'{"message": "\xff", "id": "1"}')))
    config = discord("d", liars[0].url, fallback='["local-file"]') + file() + route("d", "local-file")
    with DaemonProcess(tmp_path, config).start() as daemon:
        id_ = daemon.client.send("x").id
        daemon.wait_for("sent", id=id_, destination="local-file")
        daemon.wait_for(fact, destination="d")
        assert daemon.stop() == 0


PAGE = b"<html><head><title>Just a moment...</title></head><body>Attention Required! | Cloudflare</body></html>"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("403 Forbidden", PAGE),
        ("400 Bad Request", PAGE),
        ("404 Not Found", b"404 page not found"),
        ("407 Proxy Authentication Required", b""),
        ("302 Found", b""),
        ("200 OK", b"blocked by your administrator"),
    ],
)
def test_unknown_response_loses_no_signal_and_counts_as_failure(
    tmp_path: Path, liars: list[Liar], status: str, body: bytes
) -> None:
    liars.append(Liar(http(status, body)))
    config = discord("d", liars[0].url, breaker='{ failures = 2, rest = "1m" }', retry='{ first = "10ms" }')
    with DaemonProcess(tmp_path, config + route("d")).start() as daemon:
        daemon.client.send("low", priority="low")
        daemon.client.send("high", priority="high")
        daemon.wait_for("breaker-opened", destination="d")
        status_now = daemon.status()
        assert status_now["health"] != "ok"
        assert "d is failing" in status_now["problems"][0]
        shown = daemon.destination("d")
        assert (shown["dead"], shown["sent"], sum(shown["queued"].values())) == (0, 0, 2)


def test_proxy_that_drops_wait_parameter_is_reported_once_without_duplicates(tmp_path: Path, liars: list[Liar]) -> None:
    liars.append(Liar(http("204 No Content", b"")))
    with DaemonProcess(tmp_path, discord("d", liars[0].url) + route("d")).start() as daemon:
        ids = [daemon.client.send(title).id for title in ("a", "b")]
        assert daemon.settled(*ids) == ["delivered", "delivered"]
        assert "without returning an id" in daemon.destination("d")["note"]
        log = daemon.log.read_text()
    assert log.count("destination-note") == 1


def test_long_block_is_shown_in_status_and_lifted_by_enable(tmp_path: Path, liars: list[Liar]) -> None:
    liars.append(Liar(http("429 Too Many Requests", b'{"retry_after": 1e9, "global": false}')))
    with DaemonProcess(tmp_path, discord("d", liars[0].url) + route("d")).start() as daemon:
        daemon.client.send("x")
        daemon.wait_for("rate-limited", destination="d")
        status = daemon.status()
        assert status["health"] == "degraded"
        assert status["problems"][0].startswith("d is limited: 429 from Discord")
        assert daemon.destination("d")["until_seconds"] <= 86400
        daemon.client.request("enable", destination="d")
        daemon.wait_for("rate-limited", destination="d", nth=2)


def test_retry_after_of_a_day_is_capped(tmp_path: Path, liars: list[Liar]) -> None:
    liars.append(Liar(http("503 Service Unavailable", b"{}", "Retry-After: 100000")))
    patience = '{ first = "10ms", most = "20ms", give-up = "1s" }'
    config = discord("d", liars[0].url, retry=patience, fallback='["local-file"]') + file() + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        id_ = daemon.client.send("x").id
        daemon.wait_for("sent", id=id_, destination="local-file")
        states = {each["destination"]: each["state"] for each in daemon.client.why(id_)["deliveries"]}
        assert states == {"d": "dead", "local-file": "sent"}
