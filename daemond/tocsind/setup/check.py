"""`tocsind check`: reads the configuration as `run` does, and reports all mistakes. With --online it asks each service too."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin import paths
from tocsind.config import Config, ConfigurationInvalid, Problem, load, report
from tocsind.core.client_webhooks import ClientWebhooks
from tocsind.destinations.file_paths import writable
from tocsind.destinations.network_settings import within
from tocsind.errors import EXIT_CONFIGURATION
from tocsind.host.state_folder import refusal

if TYPE_CHECKING:
    from .online import Finding


def check_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `check`."""
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--online",
        action="store_true",
        help="ask each service whether it can be reached and knows the token, and try the engine of several hosts out; nothing is posted",
    )


def check(arguments: argparse.Namespace) -> int:
    """Print what is wrong. Raises ConfigurationInvalid without --json."""
    try:
        config = _as_run_sees_it(load(arguments.config))
    except ConfigurationInvalid as invalid:
        if not arguments.json:
            raise
        print(json.dumps(report(invalid), indent=2))
        return EXIT_CONFIGURATION
    findings, engine = _asked(config) if arguments.online else ({}, None)
    code = max((each.exit_code for each in (*findings.values(), engine) if each is not None), default=0)
    if arguments.json:
        print(json.dumps(_with_findings(config, findings, engine, code), indent=2))
    else:
        _print_report(config, findings, engine)
    return code


def _asked(config: Config) -> tuple[Mapping[str, Finding], Finding | None]:
    """The findings by destination, and that of the engine of several hosts."""
    import trio  # noqa: PLC0415 - the plain check needs no event loop

    from .online import ask, ask_engine  # noqa: PLC0415 - as above

    folder = _state_folder(config)
    return trio.run(ask, config.destinations, folder), trio.run(ask_engine, config.shared, folder)


def _state_folder(config: Config) -> Path:
    return Path(paths.expanded(paths.state_folder(config.daemon.state)))


def _as_run_sees_it(config: Config) -> Config:
    """The configuration with the webhooks that clients added; destinations that the network settings of the process rule out are disabled.

    Raises ConfigurationInvalid when `run` would refuse the state folder.
    """
    folder = _state_folder(config)
    if refused := refusal(folder, "check"):
        problem = Problem(config.source, None, "daemon.state", refused)
        raise ConfigurationInvalid([problem], source=config.source, warnings=config.warnings)
    return writable(within(ClientWebhooks(folder).merge_into(config)), folder)


def _with_findings(
    config: Config, findings: Mapping[str, Finding], engine: Finding | None, code: int
) -> dict[str, object]:
    """The report; each destination that was asked has `online`: `ok` and `reason`; so has `shared`, the engine of several hosts."""
    found = report(config)
    for each in found["destinations"]:
        if finding := findings.get(each["name"]):
            each["online"] = _online(finding)
    if engine:
        found["shared"] = {"online": _online(engine)}
    return found | {"ok": code == 0}


def _online(finding: Finding) -> dict[str, object]:
    return {"ok": finding.exit_code == 0, "reason": finding.words}


def _print_report(config: Config, findings: Mapping[str, Finding], engine: Finding | None) -> None:
    for warning in config.warnings:
        print(f"tocsind: warning: {warning}", file=sys.stderr)
    for destination in config.destinations.values():
        finding = findings.get(destination.name)
        state = f"disabled: {destination.disabled}" if destination.disabled else finding.line if finding else "ready"
        print(f"{destination.name:<20} {destination.kind:<8} {state}")
    if engine or config.shared.absent:
        print(f"{'[shared]':<20} {'engine':<8} {engine.line if engine else f'disabled: {config.shared.absent}'}")
    wrong = sum(finding.exit_code != 0 for finding in findings.values())
    ok = f"{wrong} of {len(findings)} destinations would take no alert now" if wrong else "ok"
    if engine and engine.exit_code:
        ok = f"{'' if ok == 'ok' else f'{ok}, '}the engine cannot be used"
    print(f"{config.source}: {ok}, {len(config.destinations)} destinations, {len(config.routes)} routes")
