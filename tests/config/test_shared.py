"""The table [shared], and `shared` of a destination."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsind.config import Config, ConfigurationInvalid, parse
from tocsind.config import shared as config_shared
from tocsind.config.shared import address_of

HOOK = '[destinations.d]\nkind = "discord"\nwebhook = "https://discord.com/api/webhooks/1/%s"\n' % ("x" * 68)
FILE = '[destinations.f]\nkind = "file"\npath = "a.jsonl"\n[[routes]]\nto = ["d", "f"]\n'


def config(shared: str, more: str = "") -> Config:
    return parse(f"{shared}\n{HOOK}{more}\n{FILE}", "alerts.toml")


def problem(shared: str) -> str:
    with pytest.raises(ConfigurationInvalid) as invalid:
        config(shared)
    return "\n".join(map(str, invalid.value.problems))


def test_without_the_table_nothing_is_shared() -> None:
    assert config("").shared.url is None


def test_the_url_is_a_secret_and_an_outage_degrades_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_REDIS", "unix:///run/redis.sock")
    found = config('[shared]\nurl = { env = "TOCSIN_REDIS" }')
    assert found.shared.url
    assert found.shared.url.reveal() == "unix:///run/redis.sock"
    assert found.shared.on_outage == "degrade"
    assert "unix" not in repr(found.shared)


def test_a_variable_that_is_not_set_is_a_warning_and_the_host_stays_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOCSIN_REDIS", raising=False)
    found = config('[shared]\nurl = { env = "TOCSIN_REDIS" }')
    assert found.shared.url is None
    assert any("shares nothing" in warning for warning in found.warnings)


def test_a_client_library_that_is_not_installed_is_a_warning_and_the_host_stays_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(config_shared, "find_spec", lambda _: None)
    found = config('[shared]\nurl = "redis://localhost"')
    assert found.shared.url is None
    assert any("pip install 'tocsin[shared]'" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "url", ["http://h", "redis://", "redis://h:0", "redis://h/x", "unix://relative", "redis://h:99999", "a b"]
)
def test_address_of_no_engine_is_an_error_without_the_url(url: str) -> None:
    found = problem(f'[shared]\nurl = "{url}"')
    assert "alerts.toml:2: shared.url" in found
    assert "no address of an engine" in found
    assert "redis://HOST:6379/0 or rediss://USER:PASSWORD@HOST:6380/0 or " in found


def test_a_wrong_way_through_an_outage_is_named() -> None:
    assert "on-outage" in problem('[shared]\nurl = "redis://localhost"\non-outage = "stop"')
    assert "missing" in problem("[shared]")


def test_an_engine_over_a_network_needs_tls_and_a_password() -> None:
    warnings = "\n".join(config('[shared]\nurl = "redis://engine.example.com"').warnings)
    assert "TLS" in warnings
    assert "password" in warnings
    near = "\n".join(config('[shared]\nurl = "redis://127.0.0.1:1"').warnings)
    assert "TLS" not in near


def test_the_parts_of_an_address() -> None:
    found = address_of("rediss://us%40er:pa%2Fss@h.example.com:6380/3")
    assert found
    assert (found.host, found.port, found.tls, found.database) == ("h.example.com", 6380, True, 3)
    assert found.password
    assert (found.user, found.password.reveal()) == ("us@er", "pa/ss")
    assert found.name == "rediss://h.example.com:6380"
    local = address_of("unix:///run/a.sock?db=2")
    assert local
    assert (local.path, local.database, local.is_near) == ("/run/a.sock", 2, True)


def test_network_kinds_are_shared_unless_the_destination_says_otherwise() -> None:
    found = config("").destinations
    assert (found["d"].is_shared, found["f"].is_shared) == (True, False)
    assert not config("", "shared = false").destinations["d"].is_shared


def test_sentinels_are_asked_where_the_engine_is() -> None:
    found = address_of("rediss+sentinel://u:p%40@a,b:5000/tocsin/3?sentinel-password=s")
    assert found
    assert (found.sentinels, found.service, found.database, found.tls) == (
        (("a", 26379), ("b", 5000)),
        "tocsin",
        3,
        True,
    )
    assert found.password
    assert found.sentinel_password
    assert (found.user, found.password.reveal(), found.sentinel_password.reveal()) == ("u", "p@", "s")
    assert found.name == "rediss+sentinel://a:26379,b:5000/tocsin"
    assert not found.is_near
    for wrong in ("redis+sentinel://a", "redis+sentinel://a,/x", "redis+sentinel:///x", "redis+sentinel://a:0/x"):
        assert address_of(wrong) is None


def test_a_file_of_certificates_is_read_when_it_is_configured(tmp_path: Path) -> None:
    certificates = tmp_path / "ca.pem"
    assert "ca" in problem(f'[shared]\nurl = "rediss://h"\nca = "{certificates}"')
    certificates.write_text("none")
    assert "certificates" in problem(f'[shared]\nurl = "rediss://h"\nca = "{certificates}"')
    assert "begins with /" in problem('[shared]\nurl = "rediss://h"\nca = "ca.pem"')
