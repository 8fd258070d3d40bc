"""What we are made of: for reports of bugs, and for whoever asks which OpenSSL a single binary brings along."""

from __future__ import annotations

import platform
import ssl
from importlib.metadata import PackageNotFoundError, version

from tocsind import __version__
from tocsind.host.bundle import bundle_kind
from tocsind.journal import SQLITE_VERSION

LIBRARIES = (
    "certifi",
    "h11",
    "httpcore",
    "httpx",
    "msgspec",
    "prometheus_client",
    "tomli_w",
    "trio",
)  # the binary brings their metadata along for this


def report() -> dict[str, object]:
    """What `tocsind --version --json` prints: a version, or null for a library that is not there."""
    return {
        "schema": 1,
        "version": __version__,
        "form": bundle_kind(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": SQLITE_VERSION,
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
