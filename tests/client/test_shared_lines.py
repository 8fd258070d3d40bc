"""What `tocsin status` and `tocsin status --all-hosts` print about several hosts."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tocsin.cli.shared_lines import host_lines, shared_lines
from tocsin.cli.status import _code_of
from tocsin.cli.status_lines import status_lines

LANES: list[dict[str, Any]] = [
    {
        "destinations": ["a", "b"],
        "holder": "vm-1",
        "here": True,
        "hosts": 3,
        "waiting": 1,
        "handed_over": 1,
        "taken": 7,
    },
    {
        "destinations": ["c"],
        "holder": "vm-2",
        "here": False,
        "hosts": 3,
        "waiting": 1200,
        "handed_over": 2,
        "in_doubt": 1,
    },
    {"destinations": ["d"], "holder": None, "here": False, "hosts": 1, "waiting": 0, "taken": 0},
]
SHARED: dict[str, Any] = {"host": "vm-1", "engine": "unix:///run/redis.sock", "away_seconds": None, "lanes": LANES}


def test_status_says_which_host_sends_and_what_waits() -> None:
    lines = status_lines({"shared": SHARED}, "/nowhere", 100)
    start = lines.index("shared  this host is vm-1; the engine unix:///run/redis.sock answers")
    assert lines[start + 1 : start + 4] == [
        "        a, b: sent here, for 3 hosts; 1 of this host waits, all handed over; 7 of other hosts wait",
        "          here",
        "        c: sent by vm-2, for 3 hosts; 1,200 of this host wait, 2 handed over; 1 in doubt: perhaps",
    ]
    assert "        d: no host sends now, for 1 host" in lines


def test_status_says_since_when_and_why_the_engine_is_away_and_that_it_forgot() -> None:
    away = SHARED | {
        "away_seconds": 75.0,
        "engine_state": "is full",
        "reason": "no room",
        "forgot_seconds": 300.0,
        "quarantined": 2,
    }
    text = " ".join(" ".join(shared_lines(away, 80)).split())
    assert "is full (for 1m15s); " in text
    assert "it lost what it held 5m ago" in text
    assert "2 entries there put aside as no alert" in text


def test_while_the_engine_is_away_each_host_sends_its_own() -> None:
    (line,) = shared_lines(SHARED | {"lanes": [LANES[2] | {"alone": True}]}, 100)[1:]
    assert line.strip() == "d: each host sends its own, for 1 host"


def test_a_host_alone_has_no_such_lines() -> None:
    assert shared_lines({}, 80) == []


HERE = {"host": "vm-1", "here": True, "state": "present", "seen_seconds": 0.0, "version": "0.1.0", "health": "ok"}
GONE = {
    "host": "vm-2",
    "state": "absent",
    "seen_seconds": 300.0,
    "version": "0.1.0",
    "health": "degraded",
    "queued": {"urgent": 2, "low": 1},
    "kept": 1,
    "sends_for": ["a", "b"],
    "problems": ["the disk is full"],
}


def test_all_hosts_have_a_line_each_with_their_problems() -> None:
    lines = host_lines({"away_seconds": None, "hosts": [HERE | {"sends_for": ["d"]}, GONE]}, 80)
    assert [line.split() for line in lines[:3]] == [
        ["HOST", "STATE", "SEEN", "WAIT", "VERSION", "SENDS", "FOR"],
        ["vm-1", "ok", "here", "0", "0.1.0", "d"],
        ["vm-2", "absent", "5m", "ago", "3", "0.1.0", "a,", "b"],
    ]
    assert lines[3].strip() == "1 of what waits is not handed over, and waits for it; the disk is full"


def test_last_known_hosts_have_their_time() -> None:
    answer = {"engine": "redis://e:6379", "is_current": False, "as_of": 1e9, "hosts": [HERE]}
    answer |= {"away_seconds": 12.0, "engine_state": "is full", "reason": "no room"}
    text = " ".join(" ".join(host_lines(answer, 80)).split())
    assert re.match(
        r"! as of [\d:]{8}, not of now: the engine redis://e:6379 is full \(for 12s\): no room",
        text,
    )
    assert host_lines(answer | {"as_of": None}, 200)[0].startswith("! other hosts are not known: the engine ")
    failed = answer | {"away_seconds": None}
    assert host_lines(failed, 200)[0].startswith("! as of "), "the question failed, and no other has yet"


def test_health_of_all_hosts_is_that_of_the_worst() -> None:
    found = [HERE, HERE | {"health": "degraded"}, HERE | {"health": "failing"}, GONE, GONE | {"state": "stopped"}]
    assert list(map(_code_of, found)) == [0, 1, 2, 1, 0]


@given(
    st.fixed_dictionaries({}, optional={key: st.text(max_size=300) for key in ("host", "state", "version", "health")}),
    st.lists(st.text(max_size=300), max_size=12),
    st.integers(20, 200),
)
def test_no_line_is_wider_than_the_terminal_or_has_control_characters(
    host: dict[str, Any], texts: list[str], width: int
) -> None:
    shared = {"host": host.get("host"), "engine": "e", "lanes": [LANES[0] | {"destinations": texts or ["d"]}]}
    lines = shared_lines(shared, width)
    assert all(len(line) <= width for line in lines)
    everything = [*lines, *host_lines({"hosts": [host | {"problems": texts, "sends_for": texts}]}, width)]
    assert all(line.isprintable() for line in everything)
