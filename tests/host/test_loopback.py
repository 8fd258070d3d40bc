"""Which Host and Origin headers name this host."""

from __future__ import annotations

import pytest

from tocsind.host.loopback import is_loopback, is_loopback_origin


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.9.1:65535", "[::1]", "[::1]:9464"])
def test_loopback_name_is_this_host(host: str) -> None:
    assert is_loopback(host)
    assert is_loopback_origin(f"http://{host}")
    assert is_loopback_origin(f"https://{host}")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:127",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost:80:80",
        "localhost:",
        "localhost\n",
        "10.0.0.1",
        "0.0.0.0",
        "[::]",
        "[fe80::1]",
        "::1:80",
        "127.1",
        "2130706433",
        "0x7f000001",
        "\u217cocalhost",
    ],
)
def test_other_name_is_not_this_host(host: str) -> None:
    assert not is_loopback(host)
    assert not is_loopback_origin(f"http://{host}")


@pytest.mark.parametrize("origin", ["null", "", "localhost", "file://localhost", "http://localhost/", "http:localhost"])
def test_origin_of_another_shape_is_not_this_host(origin: str) -> None:
    assert not is_loopback_origin(origin)
