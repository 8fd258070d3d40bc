"""Steps after another host has sent: repetitions, the fallback of the accepting host, acknowledgements."""

from __future__ import annotations

from pathlib import Path

from tests.harness import DaemonProcess, FakeProcess, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import holder_of
from tests.shared.test_trouble import cuttable, told

REPEAT = '{ urgent = "1s", most = 100 }'


def other_than(holder: DaemonProcess, found: list[DaemonProcess]) -> DaemonProcess:
    return next(host for host in found if host is not holder)


def posted(fake: FakeProcess, title: str) -> int:
    return sum(each.startswith(title) for each in fake.titles())


def test_a_repetition_goes_on_when_the_host_that_sent_it_dies_and_ends_where_it_is_acknowledged(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with cuttable(tmp_path, fake, redis_server, repeat=REPEAT) as found:
        holder = holder_of(found)
        other = other_than(holder, found)
        id_ = other.client.send("again", priority="urgent").id
        own = holder.client.send("own", priority="urgent").id
        until(lambda: posted(fake, "again") >= 3 and posted(fake, "own") >= 3)
        name = other.status()["shared"]["host"]
        for verb in ("ack", "retry", "drop"):
            refused = holder.tocsin(verb, id_)
            assert (refused.returncode, f"{id_} was accepted by {name}: " in refused.stderr) == (65, True)
        assert holder.tocsin("ack", own).returncode == 0
        there, _ = [host.client.send("pair", key="pair", priority="low").id for host in (other, holder)]
        until(lambda: f"accepted by {name}: " in holder.tocsin("ack", there).stderr)
        both = holder.tocsin("ack", "pair")
        assert (both.returncode, f"accepted by {name}: acknowledge there" in both.stderr) == (0, True)
        holder.kill()
        before = posted(fake, "again")
        until(lambda: posted(fake, "again") >= before + 2)
        assert other.tocsin("ack", id_).returncode == 0
        until(lambda: other.status()["queue"]["depth"] == 0)
        (delivery,) = other.client.why(id_)["deliveries"]
        assert delivery["state"] == "sent"
        assert delivery.get("repeat_at") is None


def test_delivery_refused_at_another_host_uses_the_fallback_of_the_accepting_host(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with cuttable(tmp_path, fake, redis_server) as found:
        holder = holder_of(found)
        other = other_than(holder, found)
        fake.script({"behaviour": "status", "status": 400, "code": 50006})
        id_ = other.client.send("refused").id
        until(lambda: told(other) == ["refused"])
        assert told(holder) == []
        assert [each["state"] for each in other.client.why(id_)["deliveries"]] == ["dead", "sent"]
