"""Who may import whom. The table is read from the map in `tocsind/__init__`, so that it cannot say anything else than what holds."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import tocsin
import tocsind

CLIENT, DAEMON = Path(tocsin.__file__).parent, Path(tocsind.__file__).parent


class Import(NamedTuple):
    importer: str  # dotted, from the package on
    name: str  # what is imported, dotted, with the name that is taken out of it
    lazy: bool  # inside a function


def name_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")


def imports(root: Path) -> Iterator[Import]:
    for path in sorted(root.rglob("*.py")):
        tree, importer = ast.parse(path.read_text()), name_of(path, root)
        package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
        functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        inside = {id(node) for function in functions for node in ast.walk(function)}
        for node in ast.walk(tree):
            for name in named_by(node, package):
                yield Import(importer, name, id(node) in inside)


def named_by(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    here = package.split(".")
    base = here[: len(here) - node.level + 1] if node.level else []
    return [".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names]


@cache
def ours() -> list[Import]:
    """The daemon's imports. Not at import: each worker of a run would parse all modules, and one of them runs these tests."""
    return list(imports(DAEMON))


@cache
def clients() -> list[Import]:
    return list(imports(CLIENT))


def table() -> list[list[str]]:
    _, _, rest = (tocsind.__doc__ or "").partition("downwards only")
    lines = rest.split("\n\n")[1].splitlines()
    return [[name.strip() for name in line.split(",")] for line in lines]


LAYERS = {name: depth for depth, names in enumerate(table()) for name in names}


def room(name: str) -> str | None:
    """`sender` of tocsind.delivery.sender.Sender, `tocsin` of tocsin.wire; None for the world outside, and for the daemon's own root."""
    first, _, rest = name.partition(".")
    if first != "tocsind":
        return first if first == "tocsin" else None
    inner = rest.partition(".")[0]
    return inner if (DAEMON / inner).is_dir() or (DAEMON / f"{inner}.py").is_file() else None


def top(name: str) -> str:
    return name.partition(".")[0]


def test_the_map_names_every_room_once() -> None:
    rooms = {path.stem for path in DAEMON.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert sorted(name for names in table() for name in names) == sorted(rooms - {"__init__"} | {"tocsin"})


def test_imports_go_downwards_only() -> None:
    upwards = [
        f"{each.importer} imports {each.name}"
        for each in ours()
        if (inner := room(each.name)) and (own := room(each.importer)) != inner and own and LAYERS[own] >= LAYERS[inner]
    ]
    assert upwards == []


def module_graph(root: Path, found: Sequence[Import]) -> dict[str, set[str]]:
    """The modules of a package, and which of them each imports: in functions and below TYPE_CHECKING as well."""
    graph: dict[str, set[str]] = {name_of(path, root): set() for path in root.rglob("*.py")}
    for each in found:
        name = each.name
        while name and name not in graph:
            name = name.rpartition(".")[0]
        graph[each.importer] |= {name} - {"", each.importer}
    return graph


def cycle_in(graph: dict[str, set[str]]) -> list[str] | None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return None


def test_module_graph_finds_a_cycle_below_type_checking(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "first.py").write_text("def work():\n    from . import second\n")
    (package / "second.py").write_text("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from .first import Work\n")
    cycle = cycle_in(module_graph(package, list(imports(package))))
    assert cycle is not None
    assert set(cycle) == {"package.first", "package.second"}


@pytest.mark.parametrize(("root", "found"), [(DAEMON, ours), (CLIENT, clients)], ids=["daemon", "client"])
def test_modules_have_no_import_cycle(root: Path, found: Callable[[], list[Import]]) -> None:
    assert cycle_in(module_graph(root, found())) is None


def test_only_the_demo_and_the_fakes_import_the_fakes() -> None:
    assert {room(each.importer) for each in ours() if room(each.name) == "testing"} == {"demo", "testing"}


def test_the_client_needs_nothing_but_python_and_takes_msgspec_only_when_asked() -> None:
    foreign = {each for each in clients() if top(each.name) not in {*sys.stdlib_module_names, "tocsin"}}
    assert {top(each.name) for each in foreign} <= {"msgspec", "rich", "tocsind"}
    assert all(each.lazy for each in foreign if top(each.name) != "rich")


def test_rich_is_imported_by_the_screen_of_top_alone() -> None:
    drawing = {"tocsin.top.full_screen", "tocsin.top.drawing"}
    assert {each.importer for each in clients() if top(each.name) == "rich"} == drawing
    assert all(each.lazy for each in clients() if each.name in drawing and each.importer not in drawing)


def test_the_client_knows_the_daemon_only_to_show_its_demo() -> None:
    assert {each.importer for each in clients() if top(each.name) == "tocsind"} <= {"tocsin.cli.demo"}


FORBIDDEN_IN_POLICY = {"trio", "httpx", "os", "sqlite3", "logging", "random", "time", "socket", "threading"}


def test_policy_is_pure() -> None:
    names = {top(each.name) for each in ours() if room(each.importer) == "policy"}
    assert not names & FORBIDDEN_IN_POLICY
    assert {each.importer for each in ours() if room(each.importer) == "policy" and top(each.name) == "datetime"} == {
        "tocsind.policy.calendar"  # it converts instants that it is given; that it reads no clock is tested below
    }
    assert names <= {
        "__future__",
        "collections",
        "datetime",
        "enum",
        "math",
        "msgspec",
        "typing",
        "unicodedata",
        "tocsin",
        "tocsind",
    }


ROOMS_OF_SQLITE = (
    "acknowledgements",
    "attempts",
    "backup",
    "commit_mark",
    "copies",
    "digests",
    "elsewhere",
    "epochs",
    "expectations",
    "held",
    "leftovers",
    "limiter_state",
    "live_messages",
    "loss_reports",
    "maintenance",
    "messages",
    "opening",
    "queries",
    "queue",
    "recent",
    "recovery",
    "redo_log",
    "repeats",
    "rerouting",
    "row_recovery",
    "shared",
    "shared_arrivals",
    "shared_news",
    "shared_view",
    "silences",
    "stories",
    "withdrawals",
    "writer",
)


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("httpx", {"tocsind.destinations.http"}),
        (
            "sqlite3",
            {f"tocsind.journal.{name}" for name in ROOMS_OF_SQLITE},
        ),
    ],
)
def test_a_library_has_one_place(library: str, places: set[str]) -> None:
    assert {each.importer for each in ours() if top(each.name) == library} == places


CLOCKS = {
    "time.time",
    "time.monotonic",
    "time.perf_counter",
    "time.time_ns",
    "time.clock_gettime_ns",
    "trio.current_time",
}
READERS = {
    "tocsind.clock": "it is the clock",
    "tocsind.host.accept_loop": "how long until a failing listener is reported again: trio's clock, compared with itself",
    "tocsind.http_server": "deadlines of a head and a body: trio's clock, compared with itself",
    "tocsind.ipc.connection": "how long a peer has been idle or slow: never written down, and each clock compared with itself",
    "tocsind.ipc.connection_table": "as above: which connection has been idle, stalled or following for longest",
    "tocsind.observe.log_writer": "how long the end of the process waits for its log: a thread without trio's clock, compared with itself",
    "tocsind.spool.outboxes": "when a file was last searched: in a thread without trio's clock, compared with itself",
    "tocsind.host.systemd": "the service manager asks for CLOCK_MONOTONIC of this very machine",
    "tocsind.demo.producer": "a process of its own, a caller: it measures what a caller sees",
    "tocsind.demo.scenario": "as above",
    "tocsind.testing.fake": "the far end has its own clock",
    "tocsind.testing.clock": "a clock for tests",
    "tocsind.testing.engine": "leases that end on trio's time",
    "tocsind.testing.memory": "notes when a test's destination was called, on trio's time",
}


def reads_a_clock(path: Path) -> bool:
    attributes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    dotted = {f"{node.value.id}.{node.attr}" for node in attributes if isinstance(node.value, ast.Name)}
    return bool(dotted & CLOCKS) or any(
        node.attr in {"now", "utcnow", "today"} and is_datetime(node) for node in attributes
    )


def is_datetime(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in {"datetime", "date"}


def test_only_the_clock_reads_a_clock_and_each_exception_has_its_reason() -> None:
    found = {name_of(path, DAEMON) for path in DAEMON.rglob("*.py") if reads_a_clock(path)}
    assert found == set(READERS)


def test_no_clock_is_imported_by_name() -> None:
    assert [each for each in ours() if each.name in CLOCKS] == []


def journals_of_others(source: str) -> list[str]:
    """What is read of a journal through another object than `self`: `core.journal.run`, `self._core.journal.run`."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    reads = [(node, node.value) for node in nodes if isinstance(node.value, ast.Attribute)]
    return [
        ast.unparse(node)
        for node, journal in reads
        if journal.attr in {"journal", "_journal"} and ast.unparse(journal.value) != "self"
    ]


def test_modules_outside_core_get_the_journal_in_their_constructor() -> None:
    outside = [path for path in DAEMON.rglob("*.py") if room(name_of(path, DAEMON)) != "core"]
    found = [f"{name_of(path, DAEMON)}: {read}" for path in outside for read in journals_of_others(path.read_text())]
    assert found == []


def test_journal_rule_finds_the_journals_of_other_objects() -> None:
    source = "x.journal.run(a); self._y.journal.run(a); self._journal.run(a); journal.run(a)"
    assert journals_of_others(source) == ["x.journal.run", "self._y.journal.run"]
