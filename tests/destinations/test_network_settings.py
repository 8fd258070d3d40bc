"""The network settings around the daemon, one by one: which proxy serves a URL, and what cannot be asked, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import certifi
import pytest

from tocsind.config import parse
from tocsind.destinations.network_settings import NetworkSettings, within

DISCORD = "https://discord.com/api/v10/webhooks/1/t"
PROXY = "http://proxy.example:3128"


def proxied(no_proxy: str, url: str = DISCORD) -> bool:
    return NetworkSettings({"ALL_PROXY": PROXY, "NO_PROXY": no_proxy}).proxy_for(url) is not None


@pytest.mark.parametrize(
    "no_proxy",
    [
        "discord.com",
        "DISCORD.COM",
        "com",
        "localhost,[::1],discord.com",
        "::1/128, discord.com",
        "10.0.0.0/8 discord.com",
        "discord.com:443",
        "https://discord.com",
        "all://discord.com",
        "*",
        "x, *",
        "discord.com.",
    ],
)
def test_exempt_host_is_requested_directly(no_proxy: str) -> None:
    assert not proxied(no_proxy)


@pytest.mark.parametrize(
    "no_proxy",
    [
        "",
        "iscord.com",
        "canary.discord.com",
        ".discord.com",
        "*.discord.com",
        "discord.com:80",
        "http://discord.com",
        ",",
    ],
)
def test_host_that_is_not_exempt_is_requested_by_the_proxy(no_proxy: str) -> None:
    assert proxied(no_proxy)


@pytest.mark.parametrize("no_proxy", ["discord.com", ".discord.com", "*.discord.com"])
def test_no_proxy_name_exempts_its_subdomains(no_proxy: str) -> None:
    assert not proxied(no_proxy, "https://canary.discord.com/x")


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.1.2.3/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:81", "10.1.2.3", False),
        ("10.1.2.3:80", "10.1.2.3", True),
        ("fd00::/8", "[fd00::5]", True),
        ("[fd00::]/8", "[fd00::5]", True),
        ("[fd00::5]:80", "[fd00::5]", True),
        ("[fd00::5]", "[fd00::5]", True),
        ("fd00::5", "[fd00::6]", False),
        ("10.0.0.0/8", "ten.example", False),
    ],
)
def test_addresses_and_networks_are_exempt_with_brackets_and_without(no_proxy: str, host: str, exempt: bool) -> None:
    assert proxied(no_proxy, f"http://{host}/x") is not exempt


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "[::1", "a/b", "ftp://x", "foo*bar", "http://", "x:y"])
def test_no_proxy_entry_that_is_unreadable_is_left_out_with_a_warning(entry: str) -> None:
    around = NetworkSettings({"ALL_PROXY": PROXY, "no_proxy": f"{entry},discord.com"})
    assert around.proxy_for(DISCORD) is None
    assert around.warnings == (f"no_proxy: {entry} cannot be read, and is left out",)


@pytest.mark.parametrize("entry", ["::1/128", "[::1]", "localhost", "127.0.0.0/8", ".svc.cluster.local", "10.0.0.0/8"])
def test_entry_that_containers_set_is_understood(entry: str) -> None:
    assert NetworkSettings({"NO_PROXY": entry}).warnings == ()


@pytest.mark.parametrize(
    ("variables", "used"),
    [
        ({"HTTPS_PROXY": PROXY, "HTTP_PROXY": "http://other"}, "HTTPS_PROXY"),
        ({"ALL_PROXY": PROXY, "HTTP_PROXY": "http://other"}, "ALL_PROXY"),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "nonsense://x"}, "https_proxy"),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, "ALL_PROXY"),
        ({"HTTP_PROXY": PROXY}, None),
        ({}, None),
    ],
)
def test_proxy_is_that_of_the_scheme_else_that_for_all(variables: dict[str, str], used: str | None) -> None:
    proxy = NetworkSettings(variables).proxy_for(DISCORD)
    assert (proxy and proxy.variable) == used
    assert proxy is None or (proxy.url.reveal(), proxy.problem) == (PROXY, None)


def test_proxy_without_a_scheme_is_an_http_proxy() -> None:
    proxy = NetworkSettings({"HTTPS_PROXY": "proxy.example:3128"}).proxy_for(DISCORD)
    assert proxy is not None
    assert proxy.url.reveal() == PROXY


def test_proxy_is_not_taken_from_a_cgi_header() -> None:
    assert NetworkSettings({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}).proxy_for("http://x.example/") is None
    assert NetworkSettings({"http_proxy": PROXY, "REQUEST_METHOD": "GET"}).proxy_for("http://x.example/")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8/x", "http://[::1]/x", "http://localhost/x", "https://a.localhost/"]
)
def test_loopback_needs_no_proxy(url: str) -> None:
    assert NetworkSettings({"ALL_PROXY": "nonsense://x"}).problem_with(url) is None


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("http://u:hunter2@p.example:99999", "is no URL of a proxy"),
        ("http://[::1", "is no URL of a proxy"),
        ("http://u:hun/ter2@p.example", "is no URL of a proxy"),
        ("ftp://u:hunter2@p.example:1", "(ftp://p.example:1) that is none of http, https, socks5 and socks5h"),
        ("socks4://p.example:1", "(socks4://p.example:1) that is none of"),
        (
            "socks5://u:hunter2@p.example",
            "names a SOCKS proxy (socks5://p.example), which needs the Python package socksio",
        ),
        ("http://", "without a host that can be read"),
        ("http://u:hunter2@", "without a host that can be read"),
        ("http://p .example", "without a host that can be read"),
    ],
)
def test_proxy_that_cannot_be_used_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    trouble = NetworkSettings({"ALL_PROXY": value}).problem_with(DISCORD)
    assert trouble is not None
    assert trouble.startswith("ALL_PROXY ")
    assert told in trouble
    assert "hun" not in trouble


@pytest.mark.parametrize(
    "value", ["http://u:p@p.example", "https://10.0.0.1:3128", "http://[fd00::1]:3128", "p_x.example:1"]
)
def test_proxy_that_can_be_used_is_no_problem(value: str) -> None:
    assert NetworkSettings({"ALL_PROXY": value}).problem_with(DISCORD) is None


# --- certificates ----------------------------------------------------------------------------------------------------------


def files(folder: Path) -> dict[str, str]:
    (folder / "empty.pem").touch()
    (folder / "hashed").mkdir()
    (folder / "hashed" / "5ed36f99.0").touch()
    (folder / "unhashed").mkdir()
    (folder / "unhashed" / "ca.pem").touch()
    return {path.name: str(path) for path in folder.iterdir()} | {"good": certifi.where(), "missing": str(folder / "x")}


@pytest.mark.parametrize(
    ("variable", "name", "told"),
    [
        ("SSL_CERT_FILE", "missing", "SSL_CERT_FILE names a file that cannot be read: No such file or directory"),
        ("SSL_CERT_FILE", "hashed", "SSL_CERT_FILE names"),
        ("SSL_CERT_FILE", "empty.pem", "SSL_CERT_FILE names a file without certificates that can be read"),
        ("SSL_CERT_DIR", "missing", "SSL_CERT_DIR names no folder with certificates"),
        ("SSL_CERT_DIR", "empty.pem", "SSL_CERT_DIR names no folder with certificates"),
        ("SSL_CERT_DIR", "unhashed", "SSL_CERT_DIR names no folder with certificates"),
        ("SSL_CERT_FILE", "good", None),
        ("SSL_CERT_DIR", "hashed", None),
    ],
)
def test_certificates_that_cannot_be_used_matter_over_tls_only(
    tmp_path: Path, variable: str, name: str, told: str | None
) -> None:
    around = NetworkSettings({variable: files(tmp_path)[name]})
    trouble = around.problem_with(DISCORD)
    assert (trouble or "").startswith(told or "") is True
    assert (trouble is None) == (told is None)
    assert around.problem_with("http://127.0.0.1:1/x") is None


def test_certificate_file_precedes_folders_and_one_folder_is_enough(tmp_path: Path) -> None:
    known = files(tmp_path)
    assert NetworkSettings({"SSL_CERT_FILE": known["missing"], "SSL_CERT_DIR": known["hashed"]}).certificate_problem()
    assert NetworkSettings({"SSL_CERT_DIR": f"{known['missing']}:{known['hashed']}"}).certificate_problem() is None
    assert NetworkSettings({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}).certificate_problem() is None


# --- what it makes of a configuration ------------------------------------------------------------------------------------

CONFIG = f"""
[destinations.far]
kind = "discord"
webhook = "{DISCORD}"
[destinations.near]
kind = "discord"
webhook = "http://127.0.0.1:1/api/webhooks/1/t"
[destinations.unset]
kind = "discord"
webhook = {{ env = "NOT_SET" }}
[destinations.f]
kind = "file"
path = "f.jsonl"
[[routes]]
to = ["far", "near", "f"]
"""


def reasons(config: Any) -> dict[str, str | None]:
    return {name: each.disabled for name, each in config.destinations.items() if name != "unset"}


def test_broken_network_settings_disable_only_destinations_that_need_them() -> None:
    config = parse(CONFIG, "alerts.toml")
    around = NetworkSettings({"HTTPS_PROXY": "nonsense://u:hunter2@x", "NO_PROXY": "[::1,::1/128"})
    found = within(config, around)
    told = "HTTPS_PROXY names a proxy (nonsense://x) that is none of http, https, socks5 and socks5h"
    assert reasons(found) == {"far": told, "near": None, "f": None}
    assert found.problems == (f"far is disabled: {told}",)
    assert found.warnings[len(config.warnings) :] == (
        "NO_PROXY: [::1 cannot be read, and is left out",
        f"far is disabled: {told}",
    )
    assert within(found, around) == found, "once more changes nothing"


def test_working_network_settings_change_no_configuration() -> None:
    config = parse(CONFIG, "alerts.toml")
    assert within(config, NetworkSettings({"ALL_PROXY": PROXY, "NO_PROXY": "::1/128"})) == config
