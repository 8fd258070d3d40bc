"""A short folder, and servers in it that all stop in the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Manner, Serve, Server, answering, stored


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: Unix socket paths end at 108 bytes."""
    name = tempfile.mkdtemp(prefix="toc-")
    yield Path(name)
    shutil.rmtree(name, ignore_errors=True)


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Starts servers at one path; all of them are stopped in the end."""
    servers: list[Server] = []

    def start(manner: Manner | None = None, **settings: Any) -> Server:
        heard: list[dict[str, Any]] = []

        def remembering(request: dict[str, Any]) -> Any:
            heard.append(request)
            return stored(request)

        server = Server(folder / "s", manner or answering(remembering), **settings)
        server.requests = heard
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
