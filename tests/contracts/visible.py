"""All output in which a secret could appear."""

from __future__ import annotations

import json
from typing import Any

from tests.harness import PATIENCE, DaemonProcess


def visible_text(daemon: DaemonProcess, id_: str) -> str:
    """The replies about the daemon and one signal, and all files, log lines and arguments of the daemon."""
    asked: list[Any] = [
        daemon.client.status(),
        daemon.client.why(id_),
        daemon.client.request("queue", limit=1000),
        *(daemon.client.request("queue", state=state) for state in ("sent", "dead", "rerouted", "unknown", "queued")),
        list(daemon.client.stream("tail", idle=PATIENCE)),
    ]
    # the folder `webhooks` may hold secrets
    files = [path for path in sorted(daemon.state.rglob("*")) if path.is_file()]
    written = [path.read_bytes().decode("latin-1") for path in files if path.parent.name != "webhooks"]
    return "\n".join([json.dumps(asked), *written, *daemon.argv(), daemon.log.read_text()])
