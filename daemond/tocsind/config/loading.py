"""Finds the file, and reads the document as a whole."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from tocsin import configuration
from tocsind.policy.routes import Thresholds

from .advice import advise
from .destinations import destinations
from .expect import expect
from .http import http, metrics
from .lines import lines_of
from .model import Config, DaemonOptions
from .observers import alarms, heartbeat
from .problems import ConfigurationInvalid, Problem, masked
from .quiet import quiet
from .reader import Field, Findings, Location, check_order, read_table
from .routes import routes
from .shared import shared
from .values import duration, flag, folder_path, one_of, share, size, socket_path

BUILT_IN = "built-in default"


def load(path: str | None = None) -> Config:
    """The configuration at `path`, else $TOCSIN_CONFIG, ./alerts.toml, /etc/tocsin/alerts.toml, else the built-in default.

    Raises ConfigurationInvalid with all problems; a named file that is missing or unreadable is one.
    """
    found = configuration.find(path, wait=True)
    if found.path is None:
        return _with_warnings(parse(built_in_text(), BUILT_IN), found)
    if found.trouble:
        raise _invalid(found.path, None, f"the configuration cannot be read: {found.trouble}")
    if len(found.content) > configuration.LARGEST:
        raise _invalid(found.path, None, f"the configuration is larger than {configuration.LARGEST} bytes")
    return _with_warnings(_parsed(_decoded(found.content, found.path), found.path, exposed=found.exposed), found)


def _with_warnings(config: Config, found: configuration.Found) -> Config:
    """The configuration, with warnings about the file and about files that were passed over."""
    warnings = [found.passed_over] if found.passed_over else []
    if found.complaint:
        warnings.append(f"{found.path}: {found.complaint}: every user who can change it controls this daemon")
    return msgspec.structs.replace(config, warnings=(*warnings, *config.warnings)) if warnings else config


def parse(text: str, source: str) -> Config:
    """The configuration in a TOML text; `source` names it in messages. Raises ConfigurationInvalid."""
    return _parsed(text, source, exposed=False)


def built_in_text() -> str:
    """The default alerts.toml: from the installed package, or from the top of the repository."""
    packaged = files("tocsind").joinpath("alerts.toml")
    if packaged.is_file():
        return packaged.read_text("utf-8")
    return Path(__file__).parents[3].joinpath("alerts.toml").read_text("utf-8")


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    raise _invalid(source, line, "not UTF-8, which TOML is written in")


def _invalid(source: str, line: int | None, message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid([Problem(source, line, "", masked(message))], source=source)


def _parsed(text: str, source: str, *, exposed: bool) -> Config:
    data = _data(text, source)
    if (
        data and not {"destinations", "routes"} & data.keys()
    ):  # it configures the daemon alone; an empty file is an error
        data |= {
            key: value for key, value in tomllib.loads(built_in_text()).items() if key in ("destinations", "routes")
        }
    findings = Findings(source, lines_of(text), exposed=exposed)
    top = Location(data, (), findings)
    found = read_table(top, _fields(data))
    if not findings.problems:
        advise(top, found["destinations"], found.get("routes", ()))
    warnings = tuple(str(warning) for warning in sorted(findings.warnings, key=_by_line))
    if findings.problems:
        raise ConfigurationInvalid(sorted(findings.problems, key=_by_line), source=source, warnings=warnings)
    defaults: dict[str, Any] = {"daemon": DaemonOptions(), "priorities": Thresholds(), "routes": ()}
    found.pop("client", None)  # clients read it themselves (tocsin.paths); here it is only checked
    places = {name: _path_of(name, findings) for name, each in found["destinations"].items() if each.kind == "file"}
    absent = found["shared"].absent if "shared" in found else None
    problems = (f"[shared]: {absent}: this host shares nothing, and paces alone",) if absent else ()
    return Config(**(defaults | found), warnings=warnings, problems=problems, source=source, places=places)


def _path_of(name: str, findings: Findings) -> str:
    problem = findings.about(("destinations", name, "path"), "")
    return f"{problem.place}: {problem.key}"


def _data(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or a number with thousands of digits
        message, line = _syntax(str(error), text)
    except RecursionError:
        message, line = "nested too deeply", None
    raise _invalid(source, line, message)


def _syntax(message: str, text: str) -> tuple[str, int | None]:
    """The message and the line: tomllib puts the place into the message."""
    if place := re.search(r" \(at line ([0-9]+), column ([0-9]+)\)$", message):
        return f"{message[: place.start()]} (column {place[2]})", int(place[1])
    if message.endswith(" (at end of document)"):
        return message, text.rstrip().count("\n") + 1
    return message, None


def _by_line(problem: Problem) -> int:
    return problem.line or 0


def _fields(data: dict[str, Any]) -> dict[str, Field]:
    """The tables of the file. Routes may name every destination, also one with mistakes."""
    below = data.get("destinations")
    names = tuple(below) if isinstance(below, dict) else ()
    return {
        "daemon": Field(_daemon),
        "client": Field(lambda location: read_table(location, {"autostart": Field(flag)})),
        "priorities": Field(_priorities),
        "destinations": Field(destinations, missing="missing: at least one is needed, or nothing could be delivered"),
        "routes": Field(lambda location: routes(location, names)),
        "expect": Field(lambda location: expect(location, names)),
        "quiet": Field(quiet),
        "http": Field(lambda location: http(location, names)),
        "metrics": Field(metrics),
        "alarms": Field(alarms),
        "heartbeat": Field(heartbeat),
        "shared": Field(shared),
    }


def _daemon(location: Location) -> DaemonOptions:
    return DaemonOptions(**read_table(location, _DAEMON))


_DAEMON = {
    "socket": Field(socket_path),
    "state": Field(folder_path),
    "ledger": Field(duration),
    "reserve": Field(size),
    "log": Field(one_of(("debug", "info", "warning", "error"), "log level")),
    "client-webhooks": Field(flag),
}


def _priorities(location: Location) -> Thresholds:
    found = Thresholds(**read_table(location, {"urgent": Field(share), "high": Field(share)}))
    check_order(location, found, "high", "urgent", "{:g}".format)
    return found
