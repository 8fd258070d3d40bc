"""What is imported late, and why under a lock.

`import tocsin` must stay as light as `import socket`, so what only some hand-offs need is imported by the first that does. A fork in the
middle of that, in another thread, would leave the child with half a module and a module lock that nobody ever lets go: its first `send`
would wait for ever. So late imports stand under `loading`, and a fork waits for it.

    with loading:
        import json
"""

from __future__ import annotations

import os
from threading import RLock

loading = RLock()
os.register_at_fork(before=loading.acquire, after_in_parent=loading.release, after_in_child=loading.release)
