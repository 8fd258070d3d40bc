"""The HTTP endpoints `/metrics`, `/healthz`, `/readyz`, and `tocsin status --prometheus`, with valid and invalid requests."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests import fork_server
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, route, until

LISTEN = '[http]\nlisten = "127.0.0.1:0"\n'
CONFIG = LISTEN + file() + route("local-file")


def address(daemon: DaemonProcess) -> tuple[str, int]:
    """The address of the endpoints."""
    host, _, port = daemon.status()["http"]["listen"].rpartition(":")
    return host, int(port)


def ask(daemon: DaemonProcess, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    """Status, body and headers of a response."""
    with closing(http.client.HTTPConnection(*address(daemon), timeout=PATIENCE)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())


@contextmanager
def line(daemon: DaemonProcess) -> Iterator[socket.socket]:
    with socket.create_connection(address(daemon), timeout=PATIENCE) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """All bytes until the server closes; a reset counts as a close."""
    found = b""
    try:
        while chunk := connection.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def say(daemon: DaemonProcess, words: bytes) -> bytes:
    with line(daemon) as connection:
        try:
            connection.sendall(words)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # the server closed before it had read everything
        return rest(connection)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path_factory.mktemp("monitor"), CONFIG).start() as daemon:
        yield daemon


@pytest.fixture
def daemon(running: DaemonProcess) -> Iterator[DaemonProcess]:
    yield running
    assert running.process.poll() is None, running.log.read_text()[-2000:]
    assert ask(running, "/healthz")[:2] == (200, "ok\n")


# --- valid requests --------------------------------------------------------------------------------------------------------


def test_metrics_endpoint_and_command_print_the_same_prometheus_text(daemon: DaemonProcess) -> None:
    daemon.settled(daemon.client.send("counted").id)
    status, body, headers = ask(daemon, "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    done = daemon.tocsin("status", "--prometheus")
    assert (done.returncode, done.stderr) == (0, "")
    over_http, over_socket = (
        {family.name: family.type for family in text_string_to_metric_families(text)} for text in (body, done.stdout)
    )
    assert over_http == over_socket
    assert over_http["tocsin_queue_age_seconds"] == "gauge"
    assert 'tocsin_notifications_sent_total{destination="local-file"} 1.0' in body


def test_head_request_has_content_length(daemon: DaemonProcess) -> None:
    for path in ("/healthz", "/readyz"):
        _, body, headers = ask(daemon, path)
        assert ask(daemon, path, "HEAD") == (200, "", headers)
        assert int(headers["Content-Length"]) == len(body)


def test_http_unix_socket_is_removed_at_exit(tmp_path: Path) -> None:
    place = tmp_path / "metrics.sock"
    with DaemonProcess(tmp_path, f'[http]\nlisten = "{place}"\n{file()}{route("local-file")}').start() as daemon:
        daemon.wait_for("http-opened", listen=str(place))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(place))
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: whatever\r\n\r\n")
            assert rest(connection).endswith(b"\r\n\r\nok\n")
        assert place.stat().st_mode & 0o777 == 0o660
        assert daemon.stop() == 0
        assert not place.exists()


def test_status_command_rejects_conflicting_options(daemon: DaemonProcess) -> None:
    for option in ("--json", "-q"):
        assert daemon.tocsin("status", "--prometheus", option).returncode == 64


def test_status_command_without_daemon_exits_69(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, CONFIG)
    assert daemon.tocsin("status", "--prometheus").returncode == 69
    assert daemon.tocsin("status", "-q").returncode == 69


# --- health ------------------------------------------------------------------------------------------------------------


def test_healthz_is_ok_while_discord_is_down(tmp_path: Path, fake: FakeProcess) -> None:
    fake.script({"behaviour": "status", "status": 503, "count": 100})
    tripping = discord("d", fake.webhooks[0]["url"], breaker='{ failures = 1, rest = "1h", most = "1h" }')
    with DaemonProcess(tmp_path, LISTEN + tripping + route("d")).start() as daemon:
        daemon.client.send("refused connection")
        daemon.wait_for("breaker-opened", destination="d")
        assert daemon.status()["health"] == "failing"
        assert ask(daemon, "/healthz")[:2] == (200, "ok\n")
        assert ask(daemon, "/readyz")[:2] == (200, "ok\n")
        assert 'tocsin_destination_condition{condition="failing",destination="d"} 1.0' in ask(daemon, "/metrics")[1]


def test_readyz_fails_and_healthz_succeeds_with_full_disk(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, '[daemon]\nreserve = "999999TB"\n' + CONFIG).start() as daemon:
        daemon.wait_for("intake-closed")
        status, body, _ = ask(daemon, "/readyz")
        assert (status, "kept in reserve" in body) == (503, True)
        assert ask(daemon, "/healthz")[0] == 200


# --- addresses -------------------------------------------------------------------------------------------------------------


def test_reload_moves_and_disables_http_endpoints(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon:
        assert daemon.status()["http"] is None
        daemon.configure(CONFIG)
        daemon.reload()
        daemon.wait_for("http-opened")
        before = address(daemon)
        assert ask(daemon, "/healthz")[0] == 200
        daemon.configure(CONFIG.replace("127.0.0.1", "localhost"))
        daemon.reload()
        daemon.wait_for("http-opened", nth=2)
        assert ask(daemon, "/healthz")[0] == 200
        daemon.configure(file() + route("local-file"))
        daemon.reload()
        daemon.wait_for("reloaded", nth=3)
        assert daemon.status()["http"] is None
        with socket.socket() as probe:
            assert probe.connect_ex(before) != 0


def test_used_http_address_is_a_problem_in_status_and_not_fatal(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with DaemonProcess(tmp_path, CONFIG.replace("127.0.0.1:0", where)).start() as daemon:
            assert daemon.wait_for("http-problem", listen=where)["reason"] == "Address already in use"
            assert daemon.settled(daemon.client.send("goes out").id) == ["delivered"]
            problem = f"[http] {where} cannot be listened on: Address already in use"
            assert daemon.status()["problems"] == [problem]


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("0.0.0.0:9464", "can be reached from other hosts"),
        ("192.168.1.1:9464", "can be reached from other hosts"),
        ("[::]:9464", "can be reached from other hosts"),
        ("999.0.0.1:9464", "is no address"),
        ("example.com:9464", "is no place to listen"),
        ("127.0.0.1", "is no place to listen"),
        ("127.0.0.1:99999", "is no place to listen"),
        ("metrics.sock", "is no place to listen"),
        ("/" + "x" * 200, "at most 107 bytes"),
    ],
)
def test_http_listens_on_loopback_only(tmp_path: Path, listen: str, said: str) -> None:
    (tmp_path / "alerts.toml").write_text(f'[http]\nlisten = "{listen}"\n')
    done = fork_server.run(
        [sys.executable, "-m", "tocsind", "check", "--json", "--config", "alerts.toml"],
        cwd=tmp_path,
        timeout=PATIENCE,
    )
    (problem,) = json.loads(done.stdout)["problems"]
    assert (done.returncode, problem["line"], problem["key"]) == (78, 2, "http.listen")
    assert said in problem["message"]


# --- invalid requests ---------------------------------------------------------------------------------------------------------

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        pytest.param(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405", id="another method"),
        pytest.param(b"GET /metrics/../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404", id="another path"),
        pytest.param(b"GET http://elsewhere/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404", id="for a proxy"),
        pytest.param(GET + b"Content-Length: 5\r\n\r\nhello", b"413", id="a body"),
        pytest.param(GET + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"413", id="a body in chunks"),
        pytest.param(GET + b"Content-Length: -1\r\n\r\n", b"400", id="a length that is none"),
        pytest.param(GET + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", b"4", id="a length without end"),
        pytest.param(GET + b"Content-Length: " + b"9" * 50 + b"\r\n\r\n", b"4", id="a length beyond all"),
        pytest.param(GET + b"Authorization: Bearer \xff\xfe\r\n\r\n", b"200", id="a token that is no text"),
        pytest.param(GET + b"Cookie: \xff=\xfe; tocsin; =;\r\n\r\n", b"200", id="cookies that are none"),
        pytest.param(b"GET /%ff%fe/%00?%ff=%fe&token=%ff HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404", id="no UTF-8"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"404", id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400", id="TLS"),
    ],
)
def test_malformed_http_request_is_answered_and_closed(daemon: DaemonProcess, words: bytes, answer: bytes) -> None:
    assert say(daemon, words).startswith(b"HTTP/1.1 " + answer)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        pytest.param(GET + b"X: " + b"x" * 100_000 + b"\r\n\r\n", b"431", id="a head without end"),
        pytest.param(b"\x00" * 20_000, b"400", id="noise, at length"),
        pytest.param(GET, b"400", id="half a head"),
        pytest.param(b"", b"", id="nothing"),
    ],
)
def test_oversized_or_incomplete_http_request_is_closed(daemon: DaemonProcess, words: bytes, answer: bytes) -> None:
    said = say(daemon, words)
    assert said == b"" or said.startswith(b"HTTP/1.1 " + answer)  # the close may discard the response


def test_http_connection_serves_one_request(daemon: DaemonProcess) -> None:
    said = say(daemon, (GET + b"\r\n") * 3)
    assert said.count(b"HTTP/1.1 200") == 1


def test_silent_http_connections_block_others_only_until_deadline(daemon: DaemonProcess) -> None:
    host, port = address(daemon)
    connections = [socket.create_connection((host, port)) for _ in range(40)]
    until(lambda: _is_answered(host, port))
    for each in connections:
        each.close()


def _is_answered(host: str, port: int) -> bool:
    with closing(http.client.HTTPConnection(host, port, timeout=PATIENCE)) as connection:
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (http.client.HTTPException, OSError):
            return False


def test_slow_http_heads_do_not_block_others(daemon: DaemonProcess) -> None:
    host, port = address(daemon)
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection((host, port))) for _ in range(20)]
        for _ in range(30):
            for each in slow:
                with suppress(OSError):
                    each.sendall(b"G")
            assert ask(daemon, "/healthz")[:2] == (200, "ok\n")


def test_trickling_http_head_has_one_deadline(daemon: DaemonProcess) -> None:
    with line(daemon) as connection:
        connection.settimeout(0.1)
        until(lambda: _is_closed_after(connection, b"G"))


def _is_closed_after(connection: socket.socket, words: bytes) -> bool:
    try:
        connection.sendall(words)
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /healthz HTTP/1.1\r\nHost: localhost:9464", 200),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1", 200),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:80", 200),
        ("GET /healthz HTTP/1.0", 200),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000", 200),
        ("GET /healthz HTTP/1.1\r\nHost: evil.example", 403),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example:9464", 403),
        ("GET /metrics HTTP/1.1\r\nHost:", 403),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example", 403),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: null", 403),
    ],
)
def test_http_host_header_must_be_a_loopback_name(daemon: DaemonProcess, head: str, status: int) -> None:
    assert say(daemon, f"{head}\r\n\r\n".encode()).startswith(f"HTTP/1.1 {status} ".encode())


@settings(max_examples=60)
@given(words=st.one_of(st.binary(max_size=300), st.binary(max_size=100).map(lambda some: GET + some + b"\r\n\r\n")))
def test_http_server_survives_random_input(running: DaemonProcess, words: bytes) -> None:
    said = say(running, words)
    assert said == b"" or said.startswith(b"HTTP/1.1 ")


# --- the cost while endpoints are off ------------------------------------------------------------------------------------


def test_prometheus_client_is_imported_at_first_request() -> None:
    code = "import sys, tocsind.__main__, tocsind.daemon; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "False\n"
