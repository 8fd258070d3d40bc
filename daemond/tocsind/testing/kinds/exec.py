"""A command that records its standard input, and ends as a script says.

The command (`exec_relay`) posts what it got to this service and turns the status of the answer into its exit code: 400 is 65 (data), 401 is
77 (permission), 429 is 75 (try again), anything else but 200 is 1.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import msgspec

from tocsind.http_server import Reply, Request
from tocsind.testing.kinds import exec_relay
from tocsind.testing.service import FakeService, json_reply

DOUBT = "possible duplicate"


class ExecService(FakeService):
    """What the runs of one command were given."""

    kind: ClassVar[str] = "exec"

    def destination(self) -> dict[str, Any]:
        command = [sys.executable, "-IS", exec_relay.__file__, str(self.port)]
        return {"kind": "exec", "command": command, "env": ["FAKE_EXEC_TOKEN"]}

    def environment(self) -> dict[str, str]:
        return {"FAKE_EXEC_TOKEN": "a-token-of-the-command-7315"}

    def process(self, request: Request) -> Reply:
        lines = [msgspec.json.decode(line, type=dict[str, Any]) for line in request.body.splitlines()]
        for line in lines:
            doubt = DOUBT if line.get("possible_duplicate") else ""
            self.save(f"run {len(self.saved)}", line.get("title", ""), f"{line.get('body', '')}{doubt}", line)
        return json_reply(200, {"saved": len(lines)})
