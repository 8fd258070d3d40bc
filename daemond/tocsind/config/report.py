"""The answer of `tocsind check`, ready for JSON, without secrets."""

from __future__ import annotations

from typing import Any

from .model import Config, DestinationOptions
from .problems import ConfigurationInvalid, Problem
from .values import written_rate


def report(result: Config | ConfigurationInvalid) -> dict[str, Any]:
    """`schema`, `ok`, `source`, `problems`, `warnings`, `destinations`, `routes` (their number); on success and on failure."""
    config = result if isinstance(result, Config) else None
    problems = () if isinstance(result, Config) else result.problems
    return {
        "schema": 1,
        "ok": config is not None,
        "source": result.source,
        "problems": [_problem(problem) for problem in problems],
        "warnings": list(result.warnings),
        "destinations": [_destination(one) for one in config.destinations.values()] if config else [],
        "routes": len(config.routes) if config else 0,
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "key": problem.key, "message": problem.message}


def _destination(destination: DestinationOptions) -> dict[str, Any]:
    return {
        "name": destination.name,
        "kind": destination.kind,
        "condition": "disabled" if destination.disabled else "ready",
        "reason": destination.disabled,
        "limit": written_rate(destination.limit) if destination.limit else None,
        "fallback": list(destination.fallback),
    }
