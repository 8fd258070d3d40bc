"""Where a file destination cannot be written, and what becomes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.harness import as_stranger, file, public_folder, route

from tocsind.config import Config, parse
from tocsind.destinations.file_paths import writable

TEXT = '[destinations.a]\nkind = "file"\npath = "{}"\n[[routes]]\nto = "a"\n'


def judged(path: Path | str, state: Path) -> Config:
    return writable(parse(TEXT.format(path), "alerts.toml"), state)


def test_file_that_is_there_or_can_be_made_is_fine(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    for path in ("there", "new", "below/new/folders", tmp_path / "there", tmp_path / "x" / "y"):
        config = judged(path, tmp_path)
        assert config.destinations["a"].disabled is None
        assert config.warnings == config.problems == ()
    assert [each.name for each in tmp_path.iterdir()] == ["there"], "nothing is made"


@pytest.mark.parametrize("path", ["folder", "link", "folder/../folder"])
def test_folder_disables_the_destination_with_its_place(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    config = judged(path, tmp_path)
    reason = config.destinations["a"].disabled
    assert reason is not None
    assert reason.endswith("is a folder; name a file in it")
    assert config.warnings == config.problems == (f"alerts.toml:3: destinations.a.path: {reason}",)


def test_path_through_a_file_disables_the_destination(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is no folder" in (judged("file/below", tmp_path).destinations["a"].disabled or "")
    assert "is no folder" in (judged("file/below/it", tmp_path).destinations["a"].disabled or "")


def test_file_of_another_kind_is_a_problem_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    config = judged("fifo", tmp_path)
    assert config.destinations["a"].disabled is None
    assert "not a regular file" in config.problems[0]


def test_judging_twice_says_it_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for path in ("folder", "fifo"):
        config = judged(path, tmp_path)
        again = writable(config, tmp_path)
        assert (again.warnings, again.problems) == (config.warnings, config.problems)
        assert len(config.problems) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not write")
def test_folder_that_may_not_be_written_is_a_problem_and_disables_nothing() -> None:
    with public_folder() as folder:
        (folder / "file").touch(mode=0o644)

        def look() -> list[list[str | None]]:
            found = [judged(path, folder) for path in ("new", "below/new", "file")]
            return [[each.destinations["a"].disabled, *each.problems] for each in found]

        for disabled, problem in as_stranger(look):
            assert disabled is None
            assert problem.startswith("alerts.toml:3: destinations.a.path: ")


def test_place_of_a_path_is_known_for_file_destinations_alone() -> None:
    config = parse(file("one") + file("two") + route("one", "two"), "alerts.toml")
    assert set(config.places) == {"one", "two"}
    assert all(place.startswith("alerts.toml:") for place in config.places.values())
