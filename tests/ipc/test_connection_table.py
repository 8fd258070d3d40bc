"""Which connection is evicted when a limit is reached."""

from __future__ import annotations

from itertools import count

import pytest

from tocsind.ipc.connection_table import ConnectionTable, Phase, Slot
from tocsind.ipc.limits import Limits, fitted
from tocsind.ipc.owners import Owner

ROOT = 0
_instants = count(1.0)


class Occupant(Slot):
    """A slot that notes how it was evicted."""

    def __init__(self, owner: Owner, phase: Phase = Phase.FOLLOWING, *, privileged: bool = False) -> None:
        super().__init__(owner, self.note, privileged=privileged)
        self.phase, self.since = phase, next(_instants)
        self.messages: list[str | None] = []

    def note(self, message: str | None) -> None:
        self.messages.append(message)

    @property
    def is_evicted(self) -> bool:
        return bool(self.messages)


def fill(table: ConnectionTable, owner: Owner, number: int, phase: Phase = Phase.FOLLOWING) -> list[Occupant]:
    occupants = [Occupant(owner, phase) for _ in range(number)]
    for each in occupants:
        assert table.admit(each)
    return occupants


def evicted(occupants: list[Occupant]) -> list[int]:
    return [number for number, each in enumerate(occupants) if each.is_evicted]


def test_owner_over_its_own_limit_gives_up_its_oldest_idle_connection() -> None:
    table = ConnectionTable(Limits(per_uid=3, connections=100, kept=10))
    others, own = fill(table, 1, 3, Phase.IDLE), fill(table, 2, 3, Phase.IDLE)
    own[0].since = next(_instants)
    fill(table, 2, 1)
    assert evicted(own) == [1]
    assert own[1].messages == [None], "an idle peer would read a message as its next reply"
    assert not evicted(others)
    assert len(table) == 6


@pytest.mark.parametrize(
    ("phases", "victim"),
    [
        ([Phase.SERVED, Phase.QUEUED, Phase.FOLLOWING, Phase.STALLED, Phase.IDLE], 4),
        ([Phase.SERVED, Phase.QUEUED, Phase.FOLLOWING, Phase.STALLED], 3),
        ([Phase.SERVED, Phase.QUEUED, Phase.FOLLOWING], 2),
        ([Phase.SERVED, Phase.QUEUED], 1),
    ],
)
def test_eviction_prefers_idle_then_stalled_then_following_then_queued(phases: list[Phase], victim: int) -> None:
    table = ConnectionTable(Limits(per_uid=len(phases), connections=100, kept=10))
    held = [fill(table, 2, 1, phase)[0] for phase in phases]
    assert table.admit(Occupant(2))
    assert evicted(held) == [victim]


def test_connection_is_refused_when_its_owner_has_only_requests_that_are_being_served() -> None:
    table = ConnectionTable(Limits(per_uid=2, connections=100, kept=10))
    held = fill(table, 2, 2, Phase.SERVED)
    assert not table.admit(Occupant(2))
    assert not evicted(held)
    assert len(table) == 2


def test_full_table_evicts_from_the_owner_with_most_connections() -> None:
    table = ConnectionTable(Limits(per_uid=8, connections=20, kept=4))
    few, many = fill(table, 1, 2, Phase.IDLE), [fill(table, owner, 7) for owner in (2, 3)]
    fill(table, 4, 1)
    assert not evicted(few), "its connections are idle and older, but few"
    assert sorted(map(len, map(evicted, many))) == [0, 1]
    assert len(table) == 16


def test_kept_connections_are_for_root_and_the_daemons_own_user() -> None:
    table = ConnectionTable(Limits(per_uid=20, connections=20, kept=4))
    members = [each for owner in range(1, 9) for each in fill(table, owner, 2)]
    assert len(table) == 16
    roots = [Occupant(ROOT, privileged=True) for _ in range(4)]
    assert all(map(table.admit, roots))
    assert not evicted(members)
    assert table.admit(Occupant(ROOT, privileged=True))
    assert len(table) == 20


def test_root_is_admitted_while_all_member_connections_are_served() -> None:
    table = ConnectionTable(Limits(per_uid=256))
    for owner in range(1, 5):
        fill(table, owner, 240, Phase.SERVED)
    assert not table.admit(Occupant(5))
    assert table.admit(Occupant(ROOT, privileged=True))


def test_new_connection_is_admitted_among_a_thousand_uids_with_one_each() -> None:
    table = ConnectionTable(Limits())
    for owner in range(1000, 3000):
        fill(table, owner, 1)
    assert len(table) == 960
    assert table.admit(Occupant(5))
    assert table.admit(Occupant(ROOT, privileged=True))


def test_unfinished_bytes_over_the_owner_limit_evict_its_largest_connection() -> None:
    table = ConnectionTable(Limits(unfinished_per_uid=1000, unfinished=10_000))
    own, other = fill(table, 1, 3, Phase.STALLED), fill(table, 2, 1, Phase.STALLED)
    table.set_bytes(other[0], 900)
    for each, size in zip(own, (300, 500, 200), strict=True):
        table.set_bytes(each, size)
    assert not evicted(own)
    table.set_bytes(own[2], 201)
    assert evicted(own) == [1]
    assert "bytes" in str(own[1].messages)
    assert not evicted(other)
    assert table.unfinished == 900 + 300 + 201


def test_unfinished_bytes_over_the_total_limit_evict_from_the_largest_owner() -> None:
    table = ConnectionTable(Limits(unfinished_per_uid=1000, unfinished=2500))
    held = [fill(table, owner, 2, Phase.STALLED) for owner in (1, 2, 3)]
    for occupants, size in zip(held, (400, 500, 300), strict=True):
        for each in occupants:
            table.set_bytes(each, size)
    assert not any(map(evicted, held))
    table.set_bytes(held[2][0], 450)
    assert list(map(evicted, held)) == [[], [0], []]


def test_unfinished_bytes_of_an_evicted_connection_no_longer_count() -> None:
    table = ConnectionTable(Limits(per_uid=1))
    (first,) = fill(table, 1, 1, Phase.STALLED)
    table.set_bytes(first, 500)
    fill(table, 1, 1)
    assert table.unfinished == 0
    table.set_bytes(first, 700)  # it may read once more before its task ends
    assert table.unfinished == 0
    table.remove(first)
    assert len(table) == 1


def test_request_that_is_being_served_is_not_evicted_for_its_bytes() -> None:
    table = ConnectionTable(Limits(unfinished_per_uid=100))
    (served,) = fill(table, 1, 1, Phase.SERVED)
    table.set_bytes(served, 200)
    assert not served.is_evicted


def test_tails_over_a_limit_evict_the_oldest_tail() -> None:
    table = ConnectionTable(Limits(tails_per_uid=2, tails=3))
    one, two = fill(table, 1, 3), fill(table, 2, 2)
    for each in one:
        table.mark_tail(each)
    assert evicted(one) == [0]
    for each in two:
        table.mark_tail(each)
    assert evicted(one) + evicted(two) == [0, 1]
    root = Occupant(ROOT, privileged=True)
    assert table.admit(root)
    table.mark_tail(root)
    assert evicted(one) + evicted(two) == [0, 1], "root's tails do not count among the members'"


def test_table_evicts_a_connection_when_descriptors_run_out() -> None:
    table = ConnectionTable(Limits())
    assert not table.evict_idlest()
    (one,) = fill(table, 1, 1, Phase.IDLE)
    assert table.evict_idlest()
    assert one.is_evicted


@pytest.mark.parametrize("descriptors", [8, 20, 64, 256, 1024, 65536])
def test_limits_leave_descriptors_for_the_rest_of_the_daemon(descriptors: int) -> None:
    limits = fitted(descriptors)
    assert limits.connections <= max(2, descriptors - max(32, min(128, descriptors // 2)))
    assert 1 <= limits.per_uid < limits.connections or limits.connections == 2
    assert 1 <= limits.kept < limits.connections


def test_limits_of_a_usual_process_are_the_documented_ones() -> None:
    assert fitted(65536) == Limits()
