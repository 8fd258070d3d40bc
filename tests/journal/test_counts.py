"""Any sequence of jobs, against a model of plain Python: the state of each delivery, the tally, and each signal's summary."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.journal.factories import NOW, arrival, counted, digest_oldest, ended, fed, request_of, tallied

from tocsind.journal import attempts, maintenance, queries, queue, rerouting
from tocsind.journal.opening import open_journal
from tocsind.journal.queue import UNROUTED
from tocsind.policy.delivery import OPEN, Delivery, Priority, State

NAMES = ("a", "b", "c")
CHAINS = {"a": ("b", "c"), "b": ("a",), "c": ()}
names = st.sampled_from(NAMES)
priorities = st.sampled_from(Priority)
endings = st.sampled_from([State.SENT, State.QUEUED, State.DEAD, State.UNKNOWN])


class Owed:
    """A delivery in the model."""

    def __init__(self, priority: Priority, state: str, deadline: float | None) -> None:
        self.priority = priority
        self.state = state
        self.deadline = deadline


class Ledger(RuleBasedStateMachine):
    """The journal and the model, side by side."""

    folder: Path
    numbers = count()

    @initialize()
    def open(self) -> None:
        folder = self.folder / str(next(self.numbers))
        folder.mkdir()
        self.database = open_journal(folder)
        self.database.execute("PRAGMA synchronous = OFF").fetchall()  # this test checks counts, not disks
        self.now = NOW
        self.model: dict[tuple[str, str], Owed] = {}
        self.accepted: dict[str, float] = {}
        self.in_flight: list[Delivery] = []
        self.digest_of: dict[tuple[str, str], str] = {}  # (id, destination) -> id of its digest
        self.digests: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()

    def hand_on(self, id_: str, chain: tuple[str, ...], owed: Owed) -> str | None:
        for name in chain:
            if (id_, name) not in self.model:
                self.model[id_, name] = Owed(owed.priority, "queued", owed.deadline)
                return name
        return None

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(to=st.sets(names), priority=priorities, expires=st.none() | st.integers(1, 60))
    def a_signal_comes(self, to: set[str], priority: Priority, expires: int | None) -> None:
        one = arrival(*sorted(to), priority=priority, accepted=self.now, expires=expires)
        assert queue.append(self.database, [one, one]) == [True, False]
        self.accepted[one.id] = self.now
        for name in to:
            self.model[one.id, name] = Owed(priority, "queued", one.deadline)
        if not to:
            self.model[one.id, UNROUTED] = Owed(priority, "dead", one.deadline)

    @rule(name=names, priority=priorities, most=st.integers(1, 3))
    def a_batch_leaves(self, name: str, priority: Priority, most: int) -> None:
        batch = fed(self.database, name, priority, most=most)
        claimed = attempts.begin(self.database, batch, request_of(name), self.now)
        for delivery in batch:
            owed = self.model[delivery.id, name]
            assert owed.state == "queued"
            in_time = owed.deadline is None or owed.deadline > self.now
            assert in_time is (delivery.number in {each.number for each in claimed})
            owed.state = "sending" if in_time else "queued"
        self.in_flight += claimed

    @rule(state=endings)
    def an_attempt_ends(self, state: State) -> None:
        if self.in_flight:
            delivery = self.in_flight.pop(0)
            chain = CHAINS[delivery.destination]
            moved = ended(self.database, delivery, state, *chain, now=self.now)
            owed = self.model[delivery.id, delivery.destination]
            owed.state = state.value
            given_up = state in (State.DEAD, State.UNKNOWN)
            fallback = self.hand_on(delivery.id, chain, owed) if given_up else None
            assert [each.fallback for each in moved] == ([fallback] if fallback else [])

    @rule()
    def the_daemon_starts_again(self) -> None:
        sending = [owed for owed in self.model.values() if owed.state == "sending"]
        assert attempts.replay(self.database, self.now) == len(sending)
        for owed in sending:
            owed.state = "queued"
        self.in_flight.clear()

    @rule()
    def deadlines_are_looked_at(self) -> None:
        maintenance.expire(self.database, self.now)
        for owed in self.model.values():
            if owed.state == "queued" and owed.deadline is not None and owed.deadline <= self.now:
                owed.state = "expired"

    @rule(name=names)
    def a_destination_is_gone(self, name: str) -> None:
        moved = rerouting.divert(self.database, name, CHAINS[name], "404", self.now)
        assert len(moved) == sum(key[1] == name and owed.state == "queued" for key, owed in self.model.items())
        for each in moved:
            owed = self.model[each.id, name]
            assert self.hand_on(each.id, CHAINS[name], owed) == each.fallback
            owed.state = "rerouted" if each.fallback else "dead"

    @rule(name=st.none() | names)
    def a_person_retries_all(self, name: str | None) -> None:
        maintenance.retry_all(self.database, name, self.now)
        for (_, destination), owed in self.model.items():
            if owed.state == "dead" and destination != UNROUTED and name in (None, destination):
                owed.state = "queued"

    @rule(number=st.integers(0, 50))
    def a_person_retries_or_drops_one(self, number: int) -> None:
        if self.accepted:
            id_ = list(self.accepted)[number % len(self.accepted)]
            change, before, after = (
                (maintenance.retry_one, ("dead", "unknown"), "queued")
                if number % 2
                else (maintenance.drop, ("queued", "dead"), "dropped")
            )
            change(self.database, id_, self.now)
            for (each, destination), owed in self.model.items():
                spared = change is maintenance.retry_one and destination == UNROUTED
                if each == id_ and owed.state in before and not spared:
                    owed.state = after

    @rule(name=names)
    def the_routes_have_changed(self, name: str) -> None:
        homeless = [number for number, _ in maintenance.orphaned(self.database, None)]
        maintenance.requeue_orphans(self.database, {number: [name] for number in homeless}, self.now)
        for (id_, destination), owed in list(self.model.items()):
            if destination == UNROUTED and owed.state == "dead":
                owed.state = "rerouted"
                self.hand_on(id_, (name,), owed)

    @rule(name=names, priority=priorities, most=st.integers(0, 5))
    def a_backlog_is_told_in_sum(self, name: str, priority: Priority, most: int) -> None:
        waiting = [
            id_
            for (id_, destination), owed in self.model.items()  # in the order of their creation
            if (destination, owed.priority, owed.state) == (name, priority, "queued")
            and owed.deadline is None
            and id_ not in self.digests
        ][:most]
        fold = digest_oldest(self.database, name, priority, most, self.now)
        assert (fold.originals if fold else ()) == tuple(waiting if len(waiting) > 1 else ())
        if fold:
            for id_ in waiting:
                self.model[id_, name].state = "digested"
                self.digest_of[id_, name] = fold.id
            self.model[fold.id, name] = Owed(priority, "queued", None)
            self.accepted[fold.id] = self.now
            self.digests.add(fold.id)

    def keys_of(self, id_: str) -> list[tuple[str, str]]:
        return [key for key in self.model if key[0] == id_]

    def fates(self, id_: str) -> list[State]:
        """The states of its deliveries, and those of their digests."""
        of_digests = [
            key for each in self.keys_of(id_) if each in self.digest_of for key in self.keys_of(self.digest_of[each])
        ]
        own = [key for key in self.keys_of(id_) if key not in self.digest_of]
        return [State(self.model[key].state) for key in own + of_digests]

    @rule(age=st.integers(0, 60))
    def the_ledger_forgets(self, age: int) -> None:
        maintenance.delete_old(self.database, self.now - age)
        needed = set(self.digest_of.values())
        old = [id_ for id_, accepted in self.accepted.items() if accepted < self.now - age and id_ not in needed]
        for id_ in [id_ for id_ in old if not OPEN.intersection(self.fates(id_))]:
            for key in self.keys_of(id_):
                del self.model[key]
                self.digest_of.pop(key, None)
            del self.accepted[id_]

    @invariant()
    def every_signal_fares_as_the_model_says(self) -> None:
        for id_ in self.accepted:
            assert queries.states(self.database, id_) == queries.summary(self.fates(id_))

    @invariant()
    def every_delivery_stands_where_the_model_says(self) -> None:
        query = "SELECT s.id, d.destination, d.state FROM deliveries d JOIN signals s ON s.number = d.signal"
        found = {(id_, name): state for id_, name, state in self.database.execute(query)}
        assert found == {key: owed.state for key, owed in self.model.items()}

    @invariant()
    def the_tally_is_a_real_count(self) -> None:
        assert tallied(self.database) == counted(self.database)
        model = Counter((name, int(owed.priority), owed.state) for (_, name), owed in self.model.items())
        assert tallied(self.database) == model


def test_tally_equals_a_count_after_any_sequence_of_jobs(tmp_path: Path) -> None:
    class Here(Ledger):
        folder = tmp_path

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
