"""The Debian package in a clean system: installed, used, removed, purged. `make deb` built it; needs root, debootstrap, a mirror."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness import PATIENCE, need
from tests.packaging.conftest import ROOT
from tests.packaging.debian import CLIENT, STATE, System, out

pytestmark = [pytest.mark.binary, pytest.mark.timeout(600)]

PROGRAMS = {"usr/bin/tocsin", "usr/bin/tocsind", "usr/lib/tocsin"}
UNITS = {
    "usr/lib/systemd/system",
    "usr/lib/systemd/user",
    "usr/lib/sysusers.d/tocsin.conf",
    "usr/lib/tmpfiles.d/tocsin.conf",
}
PAPERS = {"usr/share/doc/tocsin", "usr/share/lintian/overrides/tocsin", "usr/share/man"}
COMPLETIONS = {"usr/share/bash-completion", "usr/share/zsh/vendor-completions", "usr/share/fish/vendor_completions.d"}
OURS = (*PROGRAMS, *UNITS, *PAPERS, *COMPLETIONS, "etc/tocsin", "var/lib/tocsin", "etc/systemd/system")


def test_package_files_follow_policy(installed: tuple[System, set[str]]) -> None:
    system, new = installed
    assert not [path for path in new if not any(path.startswith(own) or own.startswith(path) for own in OURS)]
    assert {f"usr/share/doc/tocsin/{name}" for name in ("copyright", "changelog.gz", "changelog.Debian.gz")} <= new
    assert {"usr/share/man/man1/tocsin.1.gz", "usr/share/man/man8/tocsind.8.gz"} <= new
    assert (
        system.run("dpkg-query", "--showformat=${Conffiles}", "--show", "tocsin").split()[0]
        == "/etc/tocsin/alerts.toml"
    )
    assert system.run("dpkg", "--verify", "tocsin") == ""


def test_package_enables_service(installed: tuple[System, set[str]]) -> None:
    system, _ = installed
    for unit in ("multi-user.target.wants/tocsind.service", "sockets.target.wants/tocsind.socket"):
        link = system.root / "etc/systemd/system" / unit
        assert (system.root / str(link.readlink()).lstrip("/")).is_file()
    assert "ExecStart=/usr/bin/tocsind run" in (system.root / "usr/lib/systemd/system/tocsind.service").read_text()


def test_package_files_have_right_owners(installed: tuple[System, set[str]]) -> None:
    system, new = installed
    uid = int(system.run("id", "--user", "tocsin"))
    state, spool = ((system.root / path).stat() for path in (STATE, STATE / "spool"))
    assert (state.st_uid, oct(state.st_mode & 0o7777)) == (uid, "0o710")
    assert (spool.st_uid, oct(spool.st_mode & 0o7777)) == (uid, "0o3777")
    others = [(system.root / path).lstat() for path in new if not path.startswith(str(STATE))]
    assert {each.st_uid for each in others} == {0}
    assert not [each for each in others if each.st_mode & 0o6022 and not stat.S_ISLNK(each.st_mode)]


def test_package_delivers_without_python(installed: tuple[System, set[str]]) -> None:
    system, _ = installed
    assert not (system.root / "usr/bin/python3").exists()
    with system.daemon() as process:
        id_ = system.run(*CLIENT, "send", "from a clean system", "--wait", "20s")
        assert "delivered" in system.run(*CLIENT, "why", id_)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert "from a clean system" in (system.root / STATE / "alerts.jsonl").read_text()


def test_upgrade_keeps_edited_configuration(system: System, package: Path) -> None:
    system.install(package)
    edited = system.root / "etc/tocsin/alerts.toml"
    edited.write_text(edited.read_text() + "\n# mine\n")
    system.install(package)
    assert edited.read_text().endswith("# mine\n")
    check = ("tocsind", "check", "--config", "/etc/tocsin/alerts.toml")  # by the user whose state folder it is
    assert system.run("runuser", "-u", "tocsin", "--", *check).endswith("routes")


def test_purge_of_unused_package_leaves_nothing(system: System, package: Path) -> None:
    before = system.files()
    system.install(package)
    assert "stays" not in system.run("dpkg", "--purge", "tocsin")
    assert system.files() - before - {"etc/systemd/system/sockets.target.wants"} == set()


def test_remove_keeps_configuration_and_purge_keeps_journal(system: System, package: Path) -> None:
    before = system.files()
    system.install(package)
    with system.daemon():
        system.run(*CLIENT, "send", "this stays")
    system.run("dpkg", "--remove", "tocsin")
    assert (system.root / "etc/tocsin/alerts.toml").exists()
    assert not (system.root / "usr/bin/tocsin").exists()
    assert "/var/lib/tocsin stays" in system.run("dpkg", "--purge", "tocsin")
    left = system.files() - before - {"etc/systemd/system/sockets.target.wants"}
    assert left
    assert all(path.startswith(str(STATE)) for path in left), left


def test_lintian_reports_nothing(package: Path) -> None:
    assert out(need("lintian"), "--allow-root", "--fail-on", "error,warning", package) == ""


def test_two_packages_of_one_build_have_the_same_bytes(package: Path) -> None:
    first = package.read_bytes()
    env = {**os.environ, "SOURCE_DATE_EPOCH": first[24:36].decode().strip()}  # ar(5): the date of its first member
    subprocess.run([sys.executable, ROOT / "packaging" / "deb.py"], env=env, check=True, timeout=120)
    assert package.read_bytes() == first
