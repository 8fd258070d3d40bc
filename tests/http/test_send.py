"""`/send`: signals as JSON, and text as curl and ntfy's clients send it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, need, route, until
from tests.http_client import LISTEN, TOKEN, Answer, ask, base_url

BEARER = f"Bearer {TOKEN}"
CONFIG = LISTEN.replace("token =", 'tokens = { other = "token-of-the-other" }\ntoken =')


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    config = CONFIG + file() + file("other", "other.jsonl") + route("local-file")
    with DaemonProcess(tmp_path_factory.mktemp("send"), config).start() as daemon:
        yield daemon


def send(daemon: DaemonProcess, body: object, path: str = "/send", **headers: str) -> Answer:
    return ask(daemon, "POST", path, body, **{"Authorization": BEARER, **headers})


def text(daemon: DaemonProcess, body: str, path: str = "/send", **headers: str) -> dict[str, Any]:
    answer = send(daemon, body.encode(), path, **{"Content_Type": "text/plain", **headers})
    assert answer.status == 200, answer
    return stored(daemon, answer.json()["id"])


def stored(daemon: DaemonProcess, id_: str, name: str = "alerts.jsonl") -> dict[str, Any]:
    """The line of this signal in the file, once it is there."""
    path = daemon.state / name
    until(lambda: path.exists() and id_ in path.read_text())
    return next(line for line in map(json.loads, path.read_text().splitlines()) if line["id"] == id_)


def test_json_object_is_a_signal(running: DaemonProcess) -> None:
    signal = {"title": "BUY BTCUSDT", "confidence": 0.93, "fields": {"rsi": 33}, "tags": ["btc"], "price": "64,000.50"}
    answer = send(running, signal)
    assert (answer.status, answer.json()["state"]) == (200, "stored")
    assert answer.json()["reason"] == "price: read '64,000.50' as 64000.5"
    line = stored(running, answer.json()["id"])
    assert (line["title"], line["priority"], line["price"]) == ("BUY BTCUSDT", "urgent", 64000.5)


def test_json_list_has_a_receipt_for_each(running: DaemonProcess) -> None:
    answer = send(running, [{"title": "one"}, {}, {"title": "two", "priority": "high"}, "three"])
    receipts = answer.json()["receipts"]
    assert (answer.status, [each["state"] for each in receipts]) == (200, ["stored", "refused", "stored", "stored"])
    assert "this signal is empty" in receipts[1]["reason"]
    assert [stored(running, receipts[n]["id"])["title"] for n in (0, 2, 3)] == ["one", "two", "three"]


def test_unknown_destination_in_a_list_costs_the_others_nothing(running: DaemonProcess) -> None:
    answer = send(running, [{"title": "before"}, {"title": "lost", "to": "nowhere"}, {"title": "after"}])
    receipts = answer.json()["receipts"]
    assert (answer.status, [each["state"] for each in receipts]) == (200, ["stored", "refused", "stored"])
    assert "there is no destination 'nowhere'" in receipts[1]["reason"]
    assert [stored(running, receipts[n]["id"])["title"] for n in (0, 2)] == ["before", "after"]


def test_id_makes_a_repetition_a_duplicate(running: DaemonProcess) -> None:
    signal = {"title": "once", "id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}
    assert [send(running, signal).json()["state"] for _ in range(2)] == ["stored", "duplicate"]


def test_text_with_ntfy_headers_is_a_signal(running: DaemonProcess) -> None:
    line = text(
        running, "is 91 °C", Title="Temperature", Priority="5", Tags="fire, cpu", Click="https://a.example", Icon="x"
    )
    assert (line["title"], line["body"], line["priority"]) == ("Temperature", "is 91 °C", "urgent")
    assert (line["tags"], line["link"]) == (["fire", "cpu"], "https://a.example")


@pytest.mark.parametrize(
    ("word", "priority"),
    [
        ("1", "low"),
        ("2", "low"),
        ("default", "normal"),
        ("4", "high"),
        ("max", "urgent"),
        ("high", "high"),
        ("critical", "urgent"),
    ],
)
def test_ntfy_priorities_are_read(running: DaemonProcess, word: str, priority: str) -> None:
    assert text(running, "x", X_Priority=word)["priority"] == priority
    assert text(running, "x", f"/send?priority={word}")["priority"] == priority


def test_headers_may_be_utf8_or_encoded_words(running: DaemonProcess) -> None:
    assert text(running, "x", Title="Türöffner".encode().decode("latin-1"))["title"] == "Türöffner"
    assert text(running, "x", Title="=?UTF-8?B?VMO8cg==?=")["title"] == "Tür"
    assert text(running, "x", Title="=?nonsense")["title"] == "=?nonsense"


def test_query_names_fields(running: DaemonProcess) -> None:
    line = text(running, "two\nlines", "/send?title=T&tier=premium&key=k&tags=a,b&p=4")
    assert (line["title"], line["tier"], line["key"], line["tags"], line["priority"]) == (
        "T",
        "premium",
        "k",
        ["a", "b"],
        "high",
    )
    assert text(running, "first\nsecond")["title"] == "first"


def test_curl_default_is_verbatim_text(running: DaemonProcess) -> None:
    command = [need("curl"), "--silent", "--show-error", "-H", f"Authorization: {BEARER}"]
    for data in ("a=b&c=d+%20 100 %", '{"title": "not read"}'):
        done = subprocess.run(
            [*command, "-d", data, f"{base_url(running)}/send"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        assert stored(running, json.loads(done.stdout)["id"])["title"] == data


def test_put_uploads_a_text(running: DaemonProcess, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("from a file")
    command = [need("curl"), "--silent", "--show-error", "-H", f"Authorization: {BEARER}", "-T", str(tmp_path / "note")]
    done = subprocess.run(
        [*command, f"{base_url(running)}/send"], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert stored(running, json.loads(done.stdout)["id"])["title"] == "from a file"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({}, {}, 400),
        (b"{", {}, 400),
        ({"title": "x", "to": "nowhere"}, {}, 400),
        (b"", {"Content_Type": "text/plain"}, 400),
        ({"title": "x"}, {"Authorization": "Bearer wrong"}, 401),
        (b"x" * (2**20 + 1), {}, 413),
        ([{"title": "x"}] * 1001, {}, 413),
    ],
)
def test_send_refuses_with_a_reason(running: DaemonProcess, body: object, headers: dict[str, str], status: int) -> None:
    answer = send(running, body, **headers)
    assert answer.status == status
    assert answer.json()


def test_file_cannot_be_named_over_http(running: DaemonProcess) -> None:
    answer = send(running, {"title": "no file", "attach": "/etc/passwd", "attach_note": "forged"})
    assert {"attach", "attach_note"}.isdisjoint(stored(running, answer.json()["id"]))


def test_token_of_a_destination_sends_there_only(running: DaemonProcess) -> None:
    token = "Bearer token-of-the-other"
    answer = send(running, {"title": "for the other"}, Authorization=token)
    assert stored(running, answer.json()["id"], "other.jsonl")["title"] == "for the other"
    assert send(running, {"title": "x", "to": "local-file"}, Authorization=token).status == 403
    assert (
        send(running, [{"title": "x"}, {"title": "x", "to": ["other", "local-file"]}], Authorization=token).status
        == 403
    )
