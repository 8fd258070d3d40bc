"""What comes before the daemon runs: `tocsind init` writes a configuration, `tocsind check` reads one as the daemon does.

check         all mistakes of a file, and what each destination is
online        `check --online`: asks each service, without posting
init          writes a file that does not exist
"""

from .check import check, check_options
from .init import init, init_options

__all__ = ["check", "check_options", "init", "init_options"]
