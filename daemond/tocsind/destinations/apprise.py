"""Any service that Apprise knows. Each message is sent by a process of its own (`apprise_worker`), which is killed at its deadline.

A thread would have no end: Apprise's timeouts are per read, and a server that sends a byte now and then holds it, and the exit of the
daemon, for as long as it likes. In a process it also costs the daemon no memory. The URL, which is a secret, goes over standard input.

Apprise says yes or no, and not why: what it did not deliver may have arrived in part, is tried again, and goes to the fallback in the end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from tocsind.config.kinds.apprise import AppriseOptions
from tocsind.config.trusted_program import problem_with
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import ChannelInfo, Deferred, Delivered, Outcome, Refused, Report
from tocsind.rendering import card_of
from tocsind.rendering.apprise import message

from .child import ChildResponse, clean_environment, run
from .http import Answer
from .rejections import Rejection
from .table import EVERY, Row, delivered, gone, judge

_WORKER: Final = str(Path(__file__).with_name("apprise_worker.py"))
# How Python and the libraries below Apprise find modules, proxies and certificates.
_PASSED_ON: Final = frozenset({"PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"})


class AppriseResponse(ChildResponse):
    """An exit code of the worker, and its text."""

    service = "Apprise"


def not_delivered(response: AppriseResponse) -> Outcome:
    """deferred, and it may have been saved"""
    return Deferred(f"not delivered by {response.service}{response.said}", ambiguous=True)


TABLE: Final[tuple[Row[AppriseResponse], ...]] = (
    Row({0}, None, delivered),
    Row({78}, None, gone),
    Row(EVERY, None, not_delivered),
)


class AppriseDestination:
    """One URL."""

    max_items: Final = 1
    max_chars: Final = inf
    max_bytes: Final = 0.0  # no attachments
    editing: Final = Editing.NONE
    repeatable: Final = False

    def __init__(self, options: AppriseOptions) -> None:
        self._options = options

    def footprint(self, delivery: Delivery) -> Footprint:
        return Footprint(max_batch=delivery.max_batch)

    async def discover(self) -> ChannelInfo:
        """Nothing is asked: Apprise knows no question."""
        return ChannelInfo()

    async def check(self) -> ChannelInfo:
        """Whether Apprise is there, and has a service for the URL."""
        found = await self._outcome({})
        if isinstance(found, Delivered):
            return ChannelInfo(shows="Apprise has a service for the URL; only a message can show more")
        return ChannelInfo(problem=found)

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        return Report((await self._outcome(self._message(batch)),) * len(batch))

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        return {"payload": self._message(batch), "limits": [], "notes": []}

    async def aclose(self) -> None:
        """Do nothing: no process outlives `deliver`."""

    def _message(self, batch: Sequence[Delivery]) -> dict[str, str]:
        return message(card_of(batch[0], takes_files=False))

    async def _outcome(self, wanted: dict[str, str]) -> Outcome:
        own = self._options
        assert own.target is not None, "a destination without its URL is disabled"
        if own.python and (problem := await trio.to_thread.run_sync(problem_with, own.python)):
            return Refused(f"{own.python} cannot be used: {problem}", disable=True)
        given = msgspec.json.encode({"url": own.target.reveal(), "deadline": own.deadline, **wanted})
        command = [
            own.python or sys.executable,
            "-P",
            _WORKER,
        ]  # -P: modules beside the worker have names of the standard library
        try:
            ended = await run(command, given, _environment(), own.deadline, keep_errors=False)
        except OSError as error:
            return Deferred(f"Apprise's process cannot be started: {error.strerror}", unsent=True)
        if ended.code is None:
            return Deferred(f"killed after {own.deadline:g} s", ambiguous=True)
        verdict = judge(AppriseResponse(Answer(ended.code, {}, ended.output)), TABLE)
        assert not isinstance(verdict, Rejection), "the table has none"
        return verdict


def _environment() -> dict[str, str]:
    passed = {
        name: value for name, value in os.environ.items() if name in _PASSED_ON or name.lower().endswith("_proxy")
    }
    if "SSL_CERT_FILE" in passed:
        passed.setdefault("REQUESTS_CA_BUNDLE", passed["SSL_CERT_FILE"])
    return clean_environment() | passed
