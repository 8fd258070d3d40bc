"""What `tocsin test` shows of a destination whose secret is missing: it is disabled, and its message can be seen all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contracts.kinds import SUBJECTS, configuration
from tests.destinations.signals import delivery

from tocsind.config import parse
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build


@pytest.mark.parametrize("kind", SUBJECTS)
async def test_message_of_a_destination_without_its_secret_can_be_seen(kind: str, tmp_path: Path) -> None:
    subject = SUBJECTS[kind]()
    async with subject.serving():  # it has a port
        options = parse(configuration(subject, tmp_path), "alerts.toml").destinations["d"]
    assert options.disabled is not None
    async with HttpClient() as client:
        shown = build(options, client, tmp_path).preview([delivery("disk full")])
    assert "disk full" in str(shown["payload"])
