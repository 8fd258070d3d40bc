"""Units for systemd, written where they belong: `tocsind service install`. Nothing is started here unless somebody asks for it.

    program    what the units start, and whether the service could: quoting, folders that are closed to it
    units      which files there are, and what stands in them
    files      writing them, and taking back exactly what was written
    command    the verbs

The units lie in packaging/systemd, and in the wheel beside this room. What differs from one machine to the next is put in at install:
the program, and what follows from where it lies. An administrator's own changes belong into drop-ins (`systemctl edit`), which no install
or uninstall touches; so a file of ours carries a seal, and one whose seal is broken is somebody else's by now.
"""

from .command import add_verb
from .units import UnitFile, unit_files

__all__ = ["UnitFile", "add_verb", "unit_files"]
