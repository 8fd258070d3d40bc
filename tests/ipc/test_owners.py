"""Which uids have one owner."""

from __future__ import annotations

import os
from pathlib import Path

from tocsind.ipc.owners import Owners


def test_all_subordinate_uids_of_a_user_are_one_owner(tmp_path: Path) -> None:
    subuid = tmp_path / "subuid"
    subuid.write_text("ann:100000:65536\nbob:165536:65536\nann:300000:10\n")
    owners = Owners(subuid)
    assert owners.owner(100000) == owners.owner(165535) == owners.owner(300009)
    assert owners.owner(165536) != owners.owner(165535)
    assert owners.owner(1000) == 1000
    assert owners.owner(300010) == 300010


def test_owners_reads_changed_ranges_again(tmp_path: Path) -> None:
    subuid = tmp_path / "subuid"
    owners = Owners(subuid)
    assert owners.owner(100000) == 100000
    subuid.write_text("ann:100000:65536\n")
    assert owners.owner(100000) == owners.owner(100001)
    subuid.unlink()
    assert owners.owner(100000) == 100000


def test_owners_skips_lines_of_another_shape(tmp_path: Path) -> None:
    subuid = tmp_path / "subuid"
    subuid.write_bytes(b"\xff\n# a comment\nann\nann:x:5\nann:-1:5\nbob:7:2\n\n")
    owners = Owners(subuid)
    assert owners.owner(7) == owners.owner(8)
    assert owners.owner(9) == 9


def test_numeric_user_name_in_subuid_is_not_a_uid(tmp_path: Path) -> None:
    subuid = tmp_path / "subuid"
    subuid.write_text("1000:100000:65536\n")
    assert Owners(subuid).owner(100000) != 1000


def test_root_and_the_daemons_own_user_are_privileged() -> None:
    owners = Owners(own=777)
    assert owners.is_privileged(0)
    assert owners.is_privileged(777)
    assert not owners.is_privileged(778)
    assert Owners().is_privileged(os.geteuid())
