"""Runs the commands of a how-to page on another root, beside a real daemon. Stand-ins record commands that would change this machine."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.docs.blocks import DOCS
from tests.harness import PATIENCE, DaemonProcess

NOTED = ("systemctl", "journalctl", "loginctl", "adduser", "chgrp", "systemd-sysusers", "systemd-tmpfiles")
SUDO = '[ "$1" = -u ] && shift 2; exec env "$@"'
PYTHON3 = """\
[ "$1 $2" = "-m venv" ] || exit 9
mkdir -p "$3/bin"
for each in tocsin tocsind pip; do cp "$STAND_INS/$each" "$3/bin/"; done"""
INSTALL = 'for each; do shift; [ "$each" = tocsin ] || [ "$each" = -g ] || set -- "$@" "$each"; done; exec /usr/bin/install "$@"'
TOCSIND = 'if [ "$1" = service ]; then set -- "$@" --root "$ROOT"; fi; exec {python} -m tocsind "$@"'


def chapter(page: str, title: str, language: str = "sh") -> list[str]:
    """The code blocks of a chapter of docs/how-to/PAGE."""
    section = (DOCS / "how-to" / page).read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


class Elsewhere:
    """Another root. `noted` returns the commands that its stand-ins recorded."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.root = daemon.folder / "root"
        self.daemon = daemon
        self._account = daemon.folder / "noted"
        self._account.touch()
        self._stand_ins = daemon.folder / "stand-ins"
        for folder in (self._stand_ins, self.root / "etc/tocsin", self.root / "usr/local/bin"):
            folder.mkdir(parents=True)
        for name in (*NOTED, "pip"):
            self.stand_in(name, f'echo "{name} $*" >> {self._account}')
        self.stand_in("sudo", SUDO)
        self.stand_in("python3", PYTHON3)
        self.stand_in("install", INSTALL)
        self.stand_in("tocsin", f'exec {sys.executable} -m tocsin "$@"')
        self.stand_in("tocsind", TOCSIND.format(python=sys.executable))

    def stand_in(self, name: str, script: str) -> None:
        """Put a shell script in the place of a program."""
        path = self._stand_ins / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, block: str) -> str:
        """The output of a block of commands, each of which must succeed."""
        moved = re.sub(r"(?<=[ =])/(?=(etc|opt|usr/local)/)", f"{self.root}/", block)
        path = f"{self._stand_ins}:{self.daemon.env['PATH']}"
        done = subprocess.run(
            ["sh", "-e", "-c", moved],
            env={**self.daemon.env, "PATH": path, "ROOT": str(self.root), "STAND_INS": str(self._stand_ins)},
            cwd=self.daemon.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return (done.stdout + done.stderr).replace(str(self.root), "")

    def noted(self) -> list[str]:
        """The commands that the stand-ins recorded since the last call."""
        lines = self._account.read_text().replace(str(self.root), "").splitlines()
        self._account.write_text("")
        return lines
