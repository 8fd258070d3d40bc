"""The contract of every kind of destination, over real HTTP against its fake: each test runs for each kind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import trio
from tests.contracts.kinds import SUBJECTS, KindFixture, Subject, parsed, running
from tests.contracts.visible import visible_text
from tests.harness import DaemonProcess, service_process

from tocsin.signals import Signal
from tocsind.policy.delivery import Priority, State

KINDS = list(SUBJECTS)
DOUBT = "possible duplicate"
NASTY = "a\u202eb\u200b\x00\x1b[31m@everyone <!channel> <@1> `*_~|[x](http://y.example)\r\n\t🙂👨‍👩‍👧\ud83d&<>\"'\\"


@pytest.fixture(params=KINDS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    subject = SUBJECTS[request.param]()
    async with subject.serving():
        yield subject


@pytest.fixture
async def kind(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KindFixture]:
    async with running(subject, tmp_path, monkeypatch) as kind:
        yield kind


async def test_signal_is_saved_once_and_delivered_once(kind: KindFixture) -> None:
    numbers = kind.owe("one", "two", "three")
    assert await kind.until_settled(*numbers) == [State.SENT] * 3
    assert [sum(title in text for text in kind.subject.texts()) for title in ("one", "two", "three")] == [1, 1, 1]
    assert not any(DOUBT in text for text in kind.subject.texts())


async def test_signal_whose_answer_was_lost_comes_again_marked_or_without_a_copy(kind: KindFixture) -> None:
    repeatable = kind.lane.destination.repeatable
    kind.subject.lose_answer()
    (number,) = kind.owe("lost")
    assert await kind.until_settled(number) == [State.SENT]
    shown = [text for text in kind.subject.texts() if "lost" in text]
    if repeatable:
        assert len(shown) == 1
        assert DOUBT not in shown[0]
        assert "possible_duplicate" not in shown[0]
    else:
        assert len(shown) <= 2
        assert DOUBT in shown[-1]


async def test_limited_signal_is_not_sent_before_the_service_permits(kind: KindFixture) -> None:
    kind.subject.limit(1.0)
    began = trio.current_time()
    (number,) = kind.owe("limited")
    assert await kind.until_settled(number) == [State.SENT]
    assert trio.current_time() - began >= 0.95
    assert len(kind.subject.titles()) == 1
    assert kind.lane.disabled is None


async def test_destination_that_is_gone_is_disabled_and_its_queue_moves(kind: KindFixture) -> None:
    if not kind.subject.says_why:
        pytest.skip("the service does not say that it is gone")
    kind.subject.kill()
    numbers = kind.owe("one", "two", "three")
    assert await kind.until_settled(*numbers) == [State.REROUTED] * 3
    assert kind.lane.disabled
    assert kind.store.titles(State.QUEUED, "f") == ["one", "two", "three"]
    assert kind.subject.titles() == []


async def test_refused_signal_hurts_only_itself(kind: KindFixture) -> None:
    if not kind.subject.says_why:
        pytest.skip("the service does not say which signal is at fault")
    kind.subject.poison("arsenic")
    numbers = kind.owe("bread", "arsenic", "water")
    assert await kind.until_settled(*numbers) == [State.SENT, State.DEAD, State.SENT]
    assert kind.lane.disabled is None
    assert kind.store.titles(State.QUEUED, "f") == ["arsenic"]
    assert not any("arsenic" in text for text in kind.subject.texts())


@pytest.mark.parametrize("status", [403, 502])
async def test_answer_of_a_proxy_kills_no_signal(kind: KindFixture, status: int) -> None:
    kind.subject.answer_in_html(status)
    (number,) = kind.owe("patient")
    states = await kind.until_settled(number)
    if status == 403 and states == [State.DEAD]:
        pytest.skip("the service has no words of its own by which a proxy's answer could be told from its own")
    assert states == [State.SENT]


CORPUS = {
    "everything": Signal(
        "BUY BTCUSDT",
        "fast crossed slow",
        priority="urgent",
        confidence=0.93,
        tier="premium",
        strategy="ma",
        symbol="BTCUSDT",
        action="BUY",
        price=64000.5,
        fields={"rsi": 33},
        tags=["btc"],
        link="https://example.com/a?b=c&d=e",
    ),
    "long": Signal("t" * 256, "b" * 4096, fields={f"field {n}": "v" * 1024 for n in range(25)}, tags=["tag"] * 9),
    "long in bytes": Signal("🙂" * 256, "🙂" * 4096, fields={"🙂" * 40: "🙂" * 300}),
    "long in escapes": Signal('"' * 256, "\\" * 4096),
    "nasty": Signal(NASTY, NASTY * 20, fields={NASTY: NASTY}, tags=[NASTY[:40]], strategy=NASTY[:60], code=True),
    "title alone": Signal("title"),
    "no title": Signal("", "body alone"),
    "fields alone": Signal("", "", fields={"a": 1}),
    "blank": Signal("\u200b", " "),
    "numbers": Signal("n", price=1e-300, confidence=1.0, fields={"x": float("1e300"), "y": -0.0, "z": 10**30}),
    "digits": Signal("0", "0", symbol="0"),
    "far past": Signal("t", timestamp=-1e15),
    "far future": Signal("t", timestamp=1e15),
}


@pytest.mark.parametrize("name", CORPUS)
async def test_service_accepts_every_signal_within_its_limits(kind: KindFixture, name: str) -> None:
    numbers = [kind.owe(CORPUS[name], priority=priority)[0] for priority in (Priority.URGENT, Priority.LOW)]
    assert await kind.until_settled(*numbers) == [State.SENT] * 2
    assert kind.subject.violations() == []


async def test_preview_shows_what_is_sent_without_a_secret(kind: KindFixture) -> None:
    (number,) = kind.owe(CORPUS["everything"])
    await kind.until_settled(number)
    preview = kind.lane.preview(kind.store.delivery(number))
    assert "BUY BTCUSDT" in str(preview["payload"])
    assert not any(part in str(preview) for part in secret_parts(kind.subject))


async def test_missing_secret_disables_the_destination_and_names_the_variable(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(subject.environment())
    for missing in names:
        config = parsed(subject, tmp_path, _without(monkeypatch, missing))
        assert config.destinations["d"].disabled == f"{missing} is not set"


def _without(monkeypatch: pytest.MonkeyPatch, missing: str) -> Any:
    class Partly:
        def setenv(self, name: str, value: str) -> None:
            monkeypatch.delenv(name, raising=False)
            if name != missing:
                monkeypatch.setenv(name, value)

    return Partly()


def secret_parts(subject: Subject) -> list[str]:
    """The parts of the secrets that no output may hold: all of a token, and of a URL what is long."""
    found = []
    for value in subject.environment().values():
        parts = value.split("/") if "://" in value else [value]
        found += [part for part in parts if len(part) >= 10 and "127.0.0.1" not in part]
    return found


# In this order: a limit may close the service for all destinations. Each behaviour lasts until the next one, because a delivery that
# waits for its retry may take part at any time: the delay is random.
FAULTS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "delivered": ("sent", None),
    "400": ("dead", {"behaviour": "status", "status": 400, "text": "{secrets}", "count": None}),
    "500": ("deferred", {"behaviour": "status", "status": 500, "text": "{secrets}", "count": None}),
    "redirect": ("deferred", {"behaviour": "redirect", "location": "http://127.0.0.1:9/elsewhere", "count": None}),
    "dropped": ("deferred", {"behaviour": "drop", "saved": True, "count": None}),
    # Once: an alarm about it must not disable the next destination, too, before the script changes.
    "401": ("disabled", {"behaviour": "status", "status": 401, "text": "{secrets}"}),
    "429": ("rate-limited", {"behaviour": "rate_limited", "retry_after": 30, "count": None}),
}


@pytest.mark.parametrize("kind_name", [kind for kind in KINDS if kind != "discord"])  # Discord: test_secrets.py
def test_no_output_of_the_daemon_contains_a_secret(tmp_path: Path, kind_name: str) -> None:
    """One daemon with a destination for each fault, all of them at the same service, which quotes the secrets."""
    facts = SUBJECTS[kind_name]().facts
    with service_process(kind_name) as service:
        secrets = list(service.environment.values())
        keys = {**service.destination, "fallback": ["f"], "retry": {"first": "1h", "most": "1h"}}
        destinations = {f"d-{fault}": keys for fault in FAULTS} | {"f": {"kind": "file", "path": "f.jsonl"}}
        config = tomli_w.dumps({"destinations": destinations, "routes": [{"to": ["f"]}]})
        said = ""
        with DaemonProcess(tmp_path, config, service.environment).start() as daemon:
            for fault, (fact, behaviour) in FAULTS.items():
                script = json.dumps(behaviour or []).replace("{secrets}", json.dumps(" ".join(secrets))[1:-1])
                service.control("DELETE", "script")
                service.control("POST", "script", json.loads(script))
                id_ = daemon.client.send("x", to=f"d-{fault}").id
                about: dict[str, Any] = {} if fault == "429" else {"destination": f"d-{fault}"}
                # The alarm about the disabled destination may be what meets the limit.
                daemon.wait_for(facts.get(fault, fact), **about)
                said += visible_text(daemon, id_)
        assert facts.get("429", "rate-limited") in said
        for secret in secrets:
            for part in secret.split("/") if "://" in secret else [secret]:
                assert len(part) < 10 or "127.0.0.1" in part or part not in said


def test_kind_that_is_not_configured_is_not_imported() -> None:
    """The daemon's modules are imported with a file destination alone."""
    code = (
        "import sys, tocsind.daemon, tocsind.destinations.registry; "
        "print([name for name in sys.modules if name.startswith('tocsind.destinations.')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for kind in KINDS:
        assert f"'tocsind.destinations.{kind}'" not in found
