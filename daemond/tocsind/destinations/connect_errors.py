"""Why a connection failed, as text that contains neither an address nor a name.

Only the kinds and error numbers of an exception and its causes are used: their texts quote the request.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from typing import Final

_KINDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ssl.SSLCertVerificationError, "TLS: the certificate is not trusted"),
    (ssl.SSLError, "TLS handshake failed"),
    (socket.gaierror, "DNS: the name does not resolve"),
)


def root_of(error: BaseException) -> str:
    """The first cause that helps a reader."""
    chain = tuple(_causes(error))
    named = (words for cause in chain for kind, words in _KINDS if isinstance(cause, kind))
    numbered = (os.strerror(cause.errno) for cause in chain if isinstance(cause, OSError) and cause.errno)
    return next(named, None) or next(numbered, "network")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = _wrapped(error)


def _wrapped(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):  # trio's: one for each address that was tried
        first: BaseException = error.exceptions[0]
        return first
    return error.__cause__ or error.__context__
