"""`python -m tests.simulator --seed N --model sliding:5/2,fixed:30/60 --workload 1/s`: the story of one run, and what it came to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tests.bench.table import percentile

from .record import RunRecord
from .scenario import SENDERS, Foreign, Scenario, run
from .server import Model
from .workloads import WORKLOADS
from .world import BEGIN


def main(argv: Sequence[str] | None = None) -> None:
    """Run one scenario and print each event."""
    given = _parser().parse_args(argv)
    scenario = Scenario(
        given.model, given.workload, given.seed, given.sender, given.webhooks, given.keys, given.kills, given.foreign
    )
    record = run(scenario, None if given.brief else lambda now, line: print(f"{now - BEGIN:10.3f}  {line}"))
    print("\n".join([str(scenario), *_summary(record)]))


def _summary(record: RunRecord) -> list[str]:
    lines = [f"{record.requests} requests, finished after {record.finished - BEGIN:.2f} s, 429s {dict(record.refused)}"]
    lines.append(
        f"lost {record.lost}, overtaken {record.overtaken}, copies {record.copies}{', banned' * record.banned}"
    )
    for priority, waits in sorted(record.waits.items()):
        seconds = [wait for _, wait in waits]
        p50, p99 = percentile(seconds, 50), percentile(seconds, 99)
        lines.append(
            f"{priority.label:>8}: {len(seconds)} waited p50 {p50:.2f} s, p99 {p99:.2f} s, at most {max(seconds):.2f} s"
        )
    return lines


def _foreign(text: str) -> Foreign:
    a_minute, _, at_a_time = text.partition("/")
    return Foreign(float(a_minute), int(at_a_time or 1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Tells the story of one simulated run.", allow_abbrev=False)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--model", type=Model.parse, default="sliding:5/2,sliding:30/60", help="webhook,channel[,silent]"
    )
    parser.add_argument("--workload", choices=WORKLOADS, default="1/s")
    parser.add_argument("--sender", choices=SENDERS, default="tocsin")
    parser.add_argument("--webhooks", type=int, default=1, help="that share the channel")
    parser.add_argument("--keys", type=int, default=1, help="kinds of signals that may not share a message")
    parser.add_argument("--kills", type=int, default=0, help="power cuts")
    parser.add_argument(
        "--foreign", type=_foreign, metavar="A_MINUTE[/AT_A_TIME]", help="posts of others in the channel"
    )
    parser.add_argument("--brief", action="store_true", help="only what it came to")
    return parser


if __name__ == "__main__":
    main()
