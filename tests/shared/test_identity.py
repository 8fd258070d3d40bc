"""The name of a host: made once, kept, and given up when another daemon has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsind.shared.engine import Refused
from tocsind.shared.identity import FILE_NAME, RENEWALS, Identity, identity_of, known_name


def test_host_keeps_its_name_and_draws_a_token_at_each_start(tmp_path: Path) -> None:
    assert known_name(tmp_path) == ""
    first, second = identity_of(tmp_path), identity_of(tmp_path)
    assert first.name == second.name == known_name(tmp_path)
    assert first.start.token != second.start.token


def test_start_that_was_killed_a_moment_ago_is_no_rival() -> None:
    host = Identity("a")
    for seen in (1, 1, 2, 2, 2):  # one question of the killed one was still on its way
        host.on_refused("t", Refused(seen))
    assert host.is_refused
    assert host.rival is None
    host.on_accepted("t")
    assert not host.is_refused


def test_start_that_is_seen_again_and_again_is_a_rival() -> None:
    host = Identity("a")
    for seen in range(RENEWALS + 1):
        assert host.rival is None
        host.on_refused("t", Refused(seen))
    assert host.rival == "another daemon runs with the same one"


def test_targets_are_counted_apart_and_a_refused_note_alone_refuses_no_target() -> None:
    host = Identity("a")
    for place in ("", "t", "u"):
        host.on_refused(place, Refused(RENEWALS + len(place)))
    host.on_accepted("t")
    host.on_accepted("u")
    assert not host.is_refused
    assert host.rival is None


def test_later_state_of_the_journal_is_a_rival_at_once() -> None:
    host = Identity("a")
    host.on_refused("", Refused(1, is_ahead=True))
    assert host.rival == "the engine knows a later state of it"


def test_new_name_is_kept_with_the_one_before_until_the_journal_has_it(tmp_path: Path) -> None:
    host = identity_of(tmp_path)
    before = host.name
    host.on_refused("t", Refused(1, is_ahead=True))
    host.rename()
    assert (host.before, host.rival, host.is_refused) == (before, None, False)
    again = identity_of(tmp_path)
    assert (again.name, again.before) == (host.name, before)
    host.finish()
    again = identity_of(tmp_path)
    assert (again.name, again.before) == (host.name, "")


def test_name_that_cannot_be_written_is_not_used(tmp_path: Path) -> None:
    host = identity_of(tmp_path)
    before = host.name
    (tmp_path / FILE_NAME).with_suffix(".new").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        host.rename()
    assert (host.name, host.before) == (before, "")


@pytest.mark.parametrize("content", ["", "a name\n", "a\nb c\n", "\x80", "a" * 97])
def test_file_without_a_name_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content, "latin-1")
    assert identity_of(tmp_path).name == known_name(tmp_path) != ""
