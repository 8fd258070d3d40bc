"""Installs units for systemd: `tocsind service install`. Starts nothing unless the operator asks for it (`--now`).

    program    the program that the units start, and whether the service's user can run it
    units      the files to install, and their text
    files      writes them, and removes exactly what was written
    command    the verbs

The units are in packaging/systemd, and in the wheel beside this package. Install fills in what differs between machines: the program, and
the settings that follow from its place. An administrator's own changes belong in drop-ins (`systemctl edit`), which neither install nor
uninstall touches. So each installed file has a seal, a hash of its text: a file with a wrong seal was changed, and is left alone.
"""

from .command import add_verb
from .units import UnitFile, unit_files

__all__ = ["UnitFile", "add_verb", "unit_files"]
