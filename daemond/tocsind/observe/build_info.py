"""Versions of the daemon and its libraries, for bug reports; a single binary brings its own OpenSSL."""

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
    "redis",
    "tomli_w",
    "trio",
)  # the binary contains their metadata for this


def report() -> dict[str, object]:
    """The output of `tocsind --version --json`: a version, or null for a library that is not installed."""
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
