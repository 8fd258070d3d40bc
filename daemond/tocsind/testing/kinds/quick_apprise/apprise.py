"""As much of the package Apprise as the worker uses, for tests that start it often: the real one takes half a second to import.

On PYTHONPATH it stands in for the real one. `json://HOST:PORT/PATH` is posted to; PATH may be a misbehaviour instead:
`print`, `hang`, `crash`.
"""

import json
import logging
import os
import socket
import time
from typing import Any
from urllib.parse import urlsplit


class _Service:
    overflow_mode = "upstream"

    def __init__(self, url: str) -> None:
        self.parts = urlsplit(url)

    def post(self, content: bytes) -> bytes:
        head = (
            f"POST {self.parts.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        with socket.create_connection((self.parts.hostname, self.parts.port)) as connection:
            connection.sendall(head.encode() + content)
            return connection.recv(65_536)


class Apprise:
    """A notifier with one service."""

    def __init__(self) -> None:
        self._services: list[_Service] = []

    @staticmethod
    def instantiate(url: str) -> _Service | None:
        """The service; None for a URL that is none."""
        return _Service(url) if url.startswith("json://") else None

    def add(self, service: _Service) -> bool:
        self._services.append(service)
        return True

    def notify(self, title: str, body: str, **_: Any) -> bool:
        """Whether the service said 200."""
        match self._services[0].parts.path:
            case "/print":
                print("a plugin that prints", flush=True)  # noqa: T201
            case "/hang":
                time.sleep(600)
            case "/crash":
                os._exit(137)
        try:
            answer = self._services[0].post(json.dumps({"title": title, "message": body}).encode())
        except OSError:
            answer = b""
        if answer[9:12] == b"200":
            return True
        words = answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
        logging.getLogger("apprise").warning("Failed to send: %s", words)
        return False
