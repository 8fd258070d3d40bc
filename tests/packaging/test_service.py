"""`tocsind service`: units that systemd accepts without complaint, and an uninstall that restores the system."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.harness import PATIENCE, need
from tests.outboxes import files

import tocsin
from tocsind.__main__ import main
from tocsind.service import unit_files
from tocsind.service.program import quoted
from tocsind.spool.folder import Folder

STRANGER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
SYSTEM = {
    "etc/systemd/system/tocsind.socket",
    "etc/systemd/system/tocsind.service",
    "etc/sysusers.d/tocsin.conf",
    "etc/tmpfiles.d/tocsin.conf",
}
VENDOR = {each.replace("etc/", "usr/lib/") for each in SYSTEM}


def said(*words: str | Path) -> str:
    """The output of a command, which must succeed."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def service(*words: str | Path) -> int:
    return main(["service", *map(str, words)])


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def installed(root: Path, *words: str | Path) -> list[Path]:
    """The units that `install` writes below `root`."""
    assert service("install", "--root", root, *words) == 0
    return [root / name for name in sorted(files_below(root)) if name.endswith((".service", ".socket"))]


def program_named(folder: Path, name: str) -> Path:
    """Something that may be run, under a path that is hard to write down."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/bin/true")
    return path


ODD = ["plain/tocsind", "with space/tocsind", "100%h/tocsind", "a$HOME/tocsind", "grüße/tocsind"]


@pytest.mark.parametrize("name", ODD)
def test_system_units_pass_systemd_analyze_for_any_program_path(tmp_path: Path, name: str) -> None:
    units = installed(tmp_path / "root", "--exec", program_named(tmp_path, name))
    assert said(need("systemd-analyze"), "verify", "--man=no", *units) == "", (
        "it exits 0 on unknown keys, but not in silence"
    )


def test_user_units_pass_systemd_analyze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/u/.config")
    units = installed(tmp_path / "root", "--user")
    assert [str(each) for each in units] == [
        f"{tmp_path}/root/home/u/.config/systemd/user/tocsind.{kind}" for kind in ("service", "socket")
    ]
    assert said(need("systemd-analyze"), "--user", "verify", "--man=no", *units) == ""


def test_systemd_analyze_reports_unknown_key(tmp_path: Path) -> None:
    [unit, _] = installed(tmp_path / "root")
    unit.write_text(unit.read_text().replace("[Service]\n", "[Service]\nColour=red\n"))
    assert "Colour" in said(need("systemd-analyze"), "verify", "--man=no", unit)


def test_service_has_low_exposure(tmp_path: Path) -> None:
    [unit, _] = installed(tmp_path / "root")
    assert "Overall exposure level" in said(
        need("systemd-analyze"), "security", "--offline=yes", "--threshold=15", unit
    )


def test_install_writes_readable_files_and_uninstall_removes_those(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "etc/systemd/system/other.service").write_text("[Unit]\n")
    installed(root)
    assert files_below(root) == {*SYSTEM, "etc/systemd/system/other.service"}
    assert {stat.S_IMODE((root / name).stat().st_mode) for name in SYSTEM} == {0o644}
    assert service("uninstall", "--root", root) == 0
    assert files_below(root) == {"etc/systemd/system/other.service"}


def test_uninstall_removes_links_of_enabled_units(tmp_path: Path) -> None:
    installed(tmp_path)
    for unit, target in (("tocsind.socket", "sockets"), ("tocsind.service", "multi-user")):
        wants = tmp_path / f"etc/systemd/system/{target}.target.wants"
        wants.mkdir()
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")
    assert service("uninstall", "--root", tmp_path) == 0
    assert files_below(tmp_path) == set()


def test_changed_file_is_neither_replaced_nor_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [unit, *_] = installed(tmp_path)
    unit.write_text(unit.read_text() + "# mine\n")
    changed = unit.read_text()
    capsys.readouterr()
    assert service("install", "--root", tmp_path) == 73
    captured = capsys.readouterr()
    assert captured.out == "", "all of them or none"
    assert f"{unit} exists, and was changed" in captured.err
    assert "systemctl edit" in captured.err
    assert service("uninstall", "--root", tmp_path) == 73
    assert f"{unit} was changed after install, and is left alone" in capsys.readouterr().err
    assert files_below(tmp_path) == {str(unit.relative_to(tmp_path))}
    assert unit.read_text() == changed


def test_second_install_replaces_its_own_files(tmp_path: Path) -> None:
    [unit, _] = installed(tmp_path, "--exec", "/opt/old/tocsind")
    installed(tmp_path, "--exec", "/opt/new/tocsind")
    assert "ExecStart=/opt/new/tocsind run\n" in unit.read_text()


def test_dry_run_shows_files_and_writes_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert service("install", "--root", tmp_path / "root", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert all(f"--- {tmp_path}/root/{name}\n" in shown for name in SYSTEM)
    assert "Type=notify" in shown
    assert not (tmp_path / "root").exists()
    installed(tmp_path / "root")
    assert service("uninstall", "--root", tmp_path / "root", "--dry-run") == 0
    assert capsys.readouterr().out.count("would remove") == len(SYSTEM)
    assert files_below(tmp_path / "root") == SYSTEM


def test_vendor_units_have_no_seal_and_vendor_paths(tmp_path: Path) -> None:
    installed(tmp_path, "--vendor", "--exec", "/usr/bin/tocsind")
    assert files_below(tmp_path) == VENDOR
    texts = {unit.path: unit.text for unit in unit_files(["/usr/bin/tocsind"], vendor=True)}
    assert {f"/{name}": (tmp_path / name).read_text() for name in VENDOR} == texts
    assert "Seal" not in "".join(texts.values())


def test_uninstall_without_files_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert service("uninstall", "--root", tmp_path) == 0
    assert capsys.readouterr().out == "nothing is installed\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--exec", "tocsind"], "absolute path"),
        (["--exec", '/a"b/tocsind'], "without quotes"),
        (["--root", "/x", "--now"], "--now is for this system"),
        (["--now", "--dry-run"], "not allowed with"),
    ],
)
def test_contradicting_options_are_usage_errors(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert service("install", *words) == 64
    assert why in capsys.readouterr().err


def test_install_refuses_program_that_service_user_cannot_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert service("install", "--exec", tmp_path / "tocsind") == 73
    captured = capsys.readouterr().err
    assert "temporary folder" in captured or "closed to other users" in captured
    assert "python3 -m venv /opt/tocsin" in captured
    assert not Path("/etc/systemd/system/tocsind.service").exists()


def stub(folder: Path, account: Path, *names: str, code: int = 0) -> None:
    """Programs of these names that note how they were called."""
    folder.mkdir(exist_ok=True)
    for name in names:
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {account}\nexit {code}\n')
        path.chmod(0o755)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


ENABLE = "systemctl --user enable --now tocsind.socket tocsind.service"


def test_install_prints_next_commands_and_runs_them_with_now(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = tmp_path / "account"
    stub(tmp_path / "bin", account, "systemctl")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    assert service("install", "--user") == 0
    assert capsys.readouterr().out.endswith(f"next:\n  systemctl --user daemon-reload\n  {ENABLE}\n")
    assert not account.exists()
    assert service("install", "--user", "--now") == 0
    assert account.read_text().splitlines() == ["systemctl --user daemon-reload", ENABLE]
    account.unlink()
    assert service("uninstall", "--user", "--now") == 0
    assert account.read_text().splitlines() == [ENABLE.replace("enable", "disable"), "systemctl --user daemon-reload"]
    assert files_below(home) == set()


def test_failing_command_is_reported_and_ends_install(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(tmp_path / "bin", tmp_path / "account", "systemctl", code=5)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    assert service("install", "--user", "--now") == 70
    assert "`systemctl --user daemon-reload` ended with 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["/usr/bin/tocsind"], "/usr/bin/tocsind"),
        (["/opt/a b/tocsind"], '"/opt/a b/tocsind"'),
        (["/opt/100%/$x", "$y", ""], '/opt/100%%/$x $$y ""'),
        (['/a"b\\c'], '"/a\\"b\\\\c"'),
    ],
)
def test_quoted_words_are_read_back_by_systemd_rules(words: Sequence[str], text: str) -> None:
    assert quoted(words) == text


# --- users and folders of the units --------------------------------------------------------------------


def as_user(uid: int, gid: int, work: Callable[[], int]) -> int:
    """The result of `work` in a child process of another user with this group."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([gid])
            os.setgid(uid)
            os.setuid(uid)
            os._exit(work())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def made() -> Iterator[Path]:
    """A system on which the units' user and folders were made; every user can enter it."""
    root = Path(tempfile.mkdtemp(prefix="toc-"))
    root.chmod(0o755)
    installed(root)
    said(need("systemd-sysusers"), f"--root={root}", "tocsin.conf")
    said(need("systemd-tmpfiles"), f"--root={root}", "--create", "tocsin.conf")
    yield root
    shutil.rmtree(root)


@as_root
def test_member_of_group_spools_without_daemon_and_daemon_delivers_later(made: Path) -> None:
    state = made / "var/lib/tocsin"
    spool = state / "spool"
    found, members = spool.stat(), state.stat().st_gid
    assert found.st_gid != members
    assert [stat.S_IMODE(each.stat().st_mode) for each in (state, spool)] == [0o710, 0o3777]
    assert 0 < found.st_uid < 1000, "a system user"

    def hand_in() -> int:
        with tocsin.Client(made / "missing.sock", spool=spool) as client:
            return client.send("while it is away").state == "spooled"

    def pry() -> int:
        [left] = files(spool)
        return not os.access(left, os.R_OK) and not os.access(left, os.W_OK)

    def take_in() -> int:
        [name], _ = (folder := Folder(spool)).names(now=0.0)
        [reading] = folder.scan([name], {}, {}).readings
        folder.confirm([reading])
        return (reading.after.uid, "while it is away" in str(reading.records)) == (STRANGER, True)

    assert as_user(STRANGER, members, hand_in)
    assert not as_user(STRANGER, STRANGER, hand_in), "no other user"
    assert as_user(STRANGER + 1, members, pry), "nor another member"
    assert as_user(found.st_uid, found.st_gid, take_in)
    assert files(spool) == []
