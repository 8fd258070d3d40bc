"""A service that Apprise reaches: the receiver of its `json://`, at a path that is secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from tocsind.http_server import Reply, Request
from tocsind.testing.service import FakeService, json_reply

PATH: Final = "/a-Path-that-Is-Secret-2291"
QUICK: Final = str(Path(__file__).with_name("quick_apprise"))  # for PYTHONPATH


class AppriseService(FakeService):
    """One receiver."""

    kind: ClassVar[str] = "apprise"

    def destination(self) -> dict[str, Any]:
        return {"kind": "apprise", "url": {"env": "FAKE_APPRISE_URL"}}

    def environment(self) -> dict[str, str]:
        return {"FAKE_APPRISE_URL": f"json://127.0.0.1:{self.port}{PATH}"}

    def process(self, request: Request) -> Reply:
        if request.path.rstrip("/") != PATH:
            return json_reply(404, {"error": "not found"})
        body = msgspec.json.decode(request.body, type=dict[str, Any])
        self.save(f"message {len(self.saved)}", body.get("title", ""), body.get("message", ""), body)
        return json_reply(200, {"ok": True})
