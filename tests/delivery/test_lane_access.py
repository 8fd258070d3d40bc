"""Other packages read a lane through `snapshot()` and command it; they read no attribute of it (as far as names in the source tell)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tocsind
from tocsind.core.wakeups import LaneHandle

ROOT = Path(tocsind.__file__).parent
COMMANDS = {"name", "snapshot", "preview", "enable", "save", "abandon", "send_unrecorded"}
CORE = {name for name in vars(LaneHandle) if not name.startswith("_")}  # what the core's own protocol names
EXEMPT = ("delivery", "testing")
MODULES = [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] not in EXEMPT]


def attributes_of_lanes(source: str) -> Iterator[str]:
    """Attributes read of something that is called a lane, is taken from `lanes`, or runs over `lanes`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and _is_lane(node.value):
            yield node.attr
        elif isinstance(node, (ast.For, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            yield from _attributes_in_loop(node)


def _attributes_in_loop(loop: ast.AST) -> Iterator[str]:
    headers = [loop] if isinstance(loop, ast.For) else list(getattr(loop, "generators", ()))
    targets = {each.target.id for each in headers if isinstance(each.target, ast.Name) and _is_lanes(each.iter)}
    for node in ast.walk(loop):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in targets - {"view"}:
            yield node.attr


def _is_lane(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "lane" or node.id.endswith("_lane")
    if isinstance(node, ast.Subscript):
        return _is_lanes(node.value)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_get(node.func)


def _is_get(function: ast.Attribute) -> bool:
    return function.attr == "get" and _is_lanes(function.value)


def _is_lanes(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in {"lanes", "_lanes"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lane_attributes_are_read_in_delivery_only(path: Path) -> None:
    allowed = COMMANDS | (CORE if path.relative_to(ROOT).parts[0] == "core" else set())
    assert set(attributes_of_lanes(path.read_text())) <= allowed


@pytest.mark.parametrize(
    "source",
    [
        "lane.limiter",
        "self._lanes.get(name).breaker",
        "lanes['a'].turns",
        "[each.rerouting for each in self._lanes]",
        "for each in lanes:\n    each.senders",
    ],
)
def test_lane_access_check_finds_an_attribute(source: str) -> None:
    assert not set(attributes_of_lanes(source)) & COMMANDS
    assert list(attributes_of_lanes(source))
