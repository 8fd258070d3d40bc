"""Of an exception only its kind and number are told, never its text."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from tocsind.destinations.connect_errors import root_of


def raised_from(cause: Exception) -> Exception:
    error = RuntimeError("https://discord.com/secret")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (ssl.SSLCertVerificationError(1, "secret"), "TLS: the certificate is not trusted"),
        (ssl.SSLError(1, "secret"), "TLS handshake failed"),
        (socket.gaierror(-2, "secret"), "DNS: the name does not resolve"),
        (ExceptionGroup("secret", [OSError(errno.ENETUNREACH, "secret"), OSError("more")]), "Network is unreachable"),
        (OSError("secret"), "network"),
        (ValueError("secret"), "network"),
    ],
)
def test_connect_error_is_said_in_plain_words(cause: Exception, told: str) -> None:
    assert root_of(raised_from(cause)) == told
