"""alerts.toml: all mistakes are reported at once, each with its place; a valid file becomes a Config."""

from __future__ import annotations

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from tocsind.config import Config, ConfigurationInvalid, DiscordOptions, FileOptions, Problem, parse
from tocsind.policy.backoff import Retry
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.bucket import Rate
from tocsind.policy.digest import Budgets
from tocsind.policy.patience import NEVER, Patience
from tocsind.policy.routes import ROUTE_KEYS, Route, Thresholds, chain

FILE = '[destinations.f]\nkind = "file"\npath = "f.jsonl"\n'
TO_FILE = '[[routes]]\nto = ["f"]\n'
SECRET = "tHe-sEcReT_token"


def problems(text: str) -> list[str]:
    """The problems of a text, without the file's name."""
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(text, "alerts.toml")
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem).removeprefix("alerts.toml:") for problem in caught.value.problems]


def only_problem(text: str) -> str:
    (problem,) = problems(text)
    return problem


def discord(lines: str = "", webhook: str = '{ env = "NOT_SET_ANYWHERE" }') -> str:
    return f'{FILE}{TO_FILE}[destinations.d]\nkind = "discord"\nfallback = ["f"]\nwebhook = {webhook}\n{lines}\n'


def read(text: str) -> Config:
    return parse(text, "alerts.toml")


def test_five_mistakes_are_reported_at_once_each_with_its_line() -> None:
    text = """\
[daemon]
ledger = "30 days"
sokcet = "/run/x"

[destinations.main]
kind = "discord"
webhook = { env = "NOT_SET_ANYWHERE" }
limit = "fast"
fallback = [
    "main",
]

[[routes]]
when = { priority = "urgnt" }
to = ["mian"]
"""
    assert problems(text) == [
        '2: daemon.ledger: "30 days" is no duration; write it like 10s, 5m, 2h30m or 1d',
        '3: daemon.sokcet: unknown key; did you mean "socket"?',
        '8: destinations.main.limit: "fast" is no rate; write it like "30/min", "5/2s" or "100/h"',
        "10: destinations.main.fallback[0]: a destination cannot stand in for itself",
        '14: routes[0].when.priority: no priority is called "urgnt"; did you mean "urgent"?',
        '15: routes[0].to[0]: no destination is called "mian"; did you mean "main"?',
    ]


def test_problem_has_its_place_and_exit_code_78() -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        parse("x = 1\n" + FILE, "/etc/tocsin/alerts.toml")
    (problem,) = caught.value.problems
    assert caught.value.exit_code == 78
    assert (problem.file, problem.line, problem.key) == ("/etc/tocsin/alerts.toml", 1, "x")
    assert problem.place == "/etc/tocsin/alerts.toml:1"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb =\n", "2: Invalid value (column 4)"),
        ("a = 1\na = 2\n", "2: Cannot overwrite a value (column 6)"),
        ("a = 1\n\nb = [1,\n", "3: Invalid value (at end of document)"),
        ("a = " + "9" * 5000, "Exceeds the limit"),
        ("a = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_invalid_toml_is_a_problem_with_its_line(text: str, place: str) -> None:
    assert place in only_problem(text)


@pytest.mark.parametrize("value", ["90", "90.0", '"90"', '"90s"', '"1m30s"'])
def test_config_reads_a_bare_number_as_seconds(value: str) -> None:
    assert read(f"daemon.ledger = {value}\n" + FILE).daemon.ledger == 90


@pytest.mark.parametrize(
    "value",
    ["0", "-5", "nan", "inf", "[5]", '""', '"0s"', '"0"', '"5 s"', '"x"', "true", f'"{"9" * 400}d"', "2024-01-01"],
)
def test_invalid_duration_is_refused(value: str) -> None:
    assert only_problem(f"daemon.ledger = {value}\n" + FILE).startswith("1: daemon.ledger: ")


@pytest.mark.parametrize(
    "value", ["30", '"30"', '"/min"', '"0/min"', '"-1/min"', '"30/0s"', '"30/day"', '"9999999/s"', "[]"]
)
def test_invalid_rate_is_refused(value: str) -> None:
    assert only_problem(FILE + f"limit = {value}").startswith("4: destinations.f.limit: ")


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("30/min", Rate(30, 60)),
        ("1/s", Rate(1, 1)),
        ("2/sec", Rate(2, 1)),
        ("3/second", Rate(3, 1)),
        ("4/m", Rate(4, 60)),
        ("5 / minute", Rate(5, 60)),
        ("6/h", Rate(6, 3600)),
        ("7/hour", Rate(7, 3600)),
        ("5/2s", Rate(5, 2)),
        ("100/1d", Rate(100, 86400)),
        ("1/1m30s", Rate(1, 90)),
    ],
)
def test_rate_is_a_count_per_time(written: str, rate: Rate) -> None:
    assert (
        read(FILE + TO_FILE.replace("[[", f'[destinations.g]\nkind="file"\npath="g"\nlimit="{written}"\n[['))
        .destinations["g"]
        .limit
        == rate
    )


@pytest.mark.parametrize(
    ("written", "size"), [("64MiB", 64 << 20), ("0B", 0), ("1kB", 1000), ("2 GB", 2 * 10**9), ("1TiB", 1 << 40)]
)
def test_size_is_a_number_with_a_unit(written: str, size: int) -> None:
    assert read(f'daemon.reserve = "{written}"\n{FILE}{TO_FILE}').daemon.reserve == size


@pytest.mark.parametrize("value", ["64", '"64"', '"64 apples"', '"-1MB"', '"1.5GB"', "true"])
def test_invalid_size_is_refused(value: str) -> None:
    assert "is no size" in only_problem(f"daemon.reserve = {value}\n" + FILE)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("enabled = 1", "enabled: must be true or false, not a number"),
        ('enabled = "false"', "enabled: must be true or false, not text"),
        ("fallback = 3", "fallback: must be text, not a number"),
        ("fallback = [3]", "fallback[0]: must be text, not a number"),
        ('fallback = ["d", "d"]', 'fallback[1]: "d" is listed twice'),
        ('fallback = "missing"', 'fallback: no destination is called "missing"; known here: f, d'),
        ("retry = 5", "retry: must be a table, not a number"),
        ('retry = { first = "0s" }', 'retry.first: "0s" must be greater than zero and finite'),
        ('retry = { first = "2m" }', "retry: first (2m) must not exceed most (1m)"),
        ('retry = { first = "2m", most = "x" }', 'retry.most: "x" is no duration'),
        ('retry = { give_up = "1h" }', 'retry.give_up: unknown key; did you mean "give-up"?'),
        ("breaker = { failures = 0 }", "breaker.failures: must be between 1 and 1000000"),
        ("breaker = { failures = 2.5 }", "breaker.failures: must be a whole number, not a number"),
        ("breaker = { failures = true }", "breaker.failures: must be a whole number, not true or false"),
        ('breaker = { rest = "10m" }', "breaker: rest (10m) must not exceed most (5m)"),
        (
            'patience = "30s"',
            'patience: must be a table like { urgent = "30s", high = "2m", normal = "10m" }, not text',
        ),
        (
            'patience = { urgent = "soon" }',
            'patience.urgent: "soon" is no duration; write it like 10s, 5m, 2h30m or 1d',
        ),
        ('patience = { urgen = "30s" }', 'patience.urgen: unknown key; did you mean "urgent"?'),
        ('webhook = "x"', "webhook: unknown key; known here: kind, enabled"),
    ],
)
def test_mistake_in_a_destination_is_reported_once(lines: str, problem: str) -> None:
    text = discord().replace('path = "f.jsonl"\n', f'path = "f.jsonl"\n{lines}\n')
    assert only_problem(text).startswith(f"4: destinations.f.{problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", " destinations: missing: at least one is needed"),
        ("destinations = {}", "1: destinations: at least one [destinations.NAME] is needed"),
        ("destinations = 5", "1: destinations: at least one [destinations.NAME] is needed"),
        ("[destinations]\nx = 5", "2: destinations.x: must be a table, not a number"),
        ("[destinations.x]\n", "1: destinations.x.kind: missing; one of discord, email"),
        ('[destinations.x]\nkind = "flie"', '2: destinations.x.kind: no kind is called "flie"; did you mean "file"?'),
        ('[destinations.x]\nkind = ["file"]\n', "2: destinations.x.kind: must be text, not a list"),
        ('[destinations.x]\nkind = "discord"', "1: destinations.x.webhook: missing; write it like"),
        ('[destinations.x]\nkind = "file"', "1: destinations.x.path: missing;"),
        ('[destinations."a b"]\nkind = "file"\npath = "x"', "1: destinations.'a b': a destination's name has"),
        ("daemon = 5\n" + FILE, "1: daemon: must be a table, not a number"),
        ('daemon.socket = ""\n' + FILE, "1: daemon.socket: must not be empty"),
        ('daemon.state = "\\u0000"\n' + FILE, "1: daemon.state: must not contain control characters"),
        (f'daemon.socket = "/{"x" * 107}"\n' + FILE, "1: daemon.socket: a Unix socket's path has at most 107 bytes"),
        ('daemon.log = "warn"\n' + FILE, '1: daemon.log: no log level is called "warn"; did you mean "warning"?'),
        ("daemon.client-webhooks = 1\n" + FILE, "1: daemon.client-webhooks: must be true or false, not a number"),
        ('client.autostart = "yes"\n' + FILE, "1: client.autostart: must be true or false, not text"),
        ("client.autostrat = true\n" + FILE, '1: client.autostrat: unknown key; did you mean "autostart"?'),
        ("priorities.high = 1.5\n" + FILE, "1: priorities.high: must be between 0 and 1"),
        ("priorities.high = nan\n" + FILE, "1: priorities.high: must be between 0 and 1"),
        ('priorities.high = "0.5"\n' + FILE, "1: priorities.high: must be a number, not text"),
        ("priorities.urgent = 0.5\n" + FILE, "1: priorities: high (0.8) must not exceed urgent (0.5)"),
        ("routes = 5\n" + FILE, "1: routes: must be written as [[routes]], not as a number"),
        ("routes = [5]\n" + FILE, "1: routes[0]: must be a table, not a number"),
        (FILE + "[[routes]]", "4: routes[0].to: missing;"),
        (FILE + "[[routes]]\nto = []", "5: routes[0].to: must name at least one"),
        (FILE + TO_FILE + "continue = 0", "6: routes[0].continue: must be true or false, not a number"),
        (FILE + TO_FILE + "when = 0", "6: routes[0].when: must be a table, not a number"),
        (FILE + TO_FILE + "when = { tier = [] }", "6: routes[0].when.tier: must name at least one"),
        (FILE + TO_FILE + "when = { tier = 1 }", "6: routes[0].when.tier: must be text, not a number"),
        (FILE + TO_FILE + 'when = { teir = "x" }', '6: routes[0].when.teir: unknown key; did you mean "tier"?'),
        (FILE + TO_FILE + TO_FILE.replace('"f"', '"g"'), "7: routes[1].to[0]: no destination is called"),
    ],
)
def test_mistake_in_the_file_is_reported_once(text: str, problem: str) -> None:
    assert only_problem(text).startswith(problem)


def test_all_keys_of_the_file_are_read() -> None:
    config = read("""
        routes = [{ to = "d", when = { tier = "premium", tag = ["a", "b"] }, continue = true }, { to = ["f", "d"] }]
        [daemon]
        socket = "/run/x.sock"
        state = "/var/lib/x"
        ledger = "1d12h"
        reserve = "1GiB"
        log = "debug"
        client-webhooks = true
        [client]
        autostart = true
        [priorities]
        urgent = 1
        high = 0.5
        [destinations.d]
        kind = "discord"
        webhook = { env = "NOT_SET_ANYWHERE" }
        username = "Bell"
        deadline = "5s"
        mention = { urgent = ["role:123", "user:456"], high = "here", low = [] }
        silent = "low"
        push = ["urgent"]
        webhook-limit = "3/s"
        channel-limit = "20/min"
        digest = { normal = false, low = "10m" }
        allow-host = true
        fallback = "f"
        limit = "5/2s"
        [destinations.d.retry]
        first = "500ms"
        most = "10s"
        give-up = "1d"
        [destinations.d.breaker]
        failures = 2
        rest = "1s"
        most = "1m"
        [destinations.f]
        kind = "file"
        path = "/tmp/f"
        """)
    assert config.daemon.socket == "/run/x.sock"
    assert config.daemon.state == "/var/lib/x"
    assert (config.daemon.ledger, config.daemon.reserve, config.daemon.log) == (129600.0, 1 << 30, "debug")
    assert config.daemon.client_webhooks
    assert config.priorities == Thresholds(1.0, 0.5)
    assert list(config.destinations) == ["d", "f"]
    d, f = config.destinations.values()
    assert d.options == DiscordOptions(
        username="Bell",
        deadline=5.0,
        mention={"urgent": ("role:123", "user:456"), "high": ("here",)},
        silent=("low",),
        push=("urgent",),
        webhook_limit=Rate(3, 1.0),
        channel_limit=Rate(20, 60.0),
    )
    assert d.digest == Budgets(normal=None, low=600.0)
    assert (d.limit, d.fallback, d.disabled) == (Rate(5, 2.0), ("f",), "NOT_SET_ANYWHERE is not set")
    assert d.retry == Retry(0.5, 10.0, 86400.0)
    assert d.breaker == BreakerLimits(2, 1.0, 60.0)
    assert f.options == FileOptions("/tmp/f")
    assert config.routes == (
        Route(("d",), {"tier": ("premium",), "tag": ("a", "b")}, continues=True),
        Route(("f", "d")),
    )
    assert config.fallbacks == {"d": ("f",), "f": ()}
    assert chain("d", config.fallbacks) == ("f",)


def test_routes_accept_every_route_key_of_policy() -> None:
    when = ", ".join(f'{key} = "{"urgent" if key == "priority" else "x"}"' for key in ROUTE_KEYS)
    assert tuple(read(FILE + TO_FILE + f"when = {{ {when} }}").routes[0].when) == ROUTE_KEYS


def test_default_limit_exists_for_discord_and_not_for_a_file() -> None:
    config = read(discord())
    assert config.destinations["d"].limit == Rate(30, 60.0)
    assert config.destinations["f"].limit is None


def test_webhook_and_channel_limits_have_discords_defaults() -> None:
    options = read(discord()).destinations["d"].options
    assert options == DiscordOptions(webhook_limit=Rate(5, 2.0), channel_limit=Rate(30, 60.0))


@pytest.mark.parametrize(
    ("kind", "lines", "budgets"),
    [
        ("d", "", Budgets(120.0, 300.0)),
        ("d", "digest = true", Budgets()),
        ("d", "digest = false", None),
        ("d", "digest = {}", Budgets()),
        ("d", 'digest = { normal = "1m" }', Budgets(60.0, 300.0)),
        ("d", "digest = { normal = false, low = false }", Budgets(None, None)),
        ("f", "", None),
    ],
)
def test_default_digest_exists_for_discord_and_not_for_a_file(kind: str, lines: str, budgets: Budgets | None) -> None:
    assert read(discord(lines)).destinations[kind].digest == budgets


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("mention = 5", "mention: must be a table by priority, like { urgent = ... }, not a number"),
        ('mention = { urgnt = "here" }', 'mention.urgnt: unknown key; did you mean "urgent"?'),
        ("mention = { urgent = 5 }", "mention.urgent: must be text, not a number"),
        ('mention = { urgent = "@here" }', 'mention.urgent: "@here" is no mention; did you mean "here"?'),
        ('mention = { urgent = ["everyon"] }', 'mention.urgent[0]: "everyon" is no mention; did you mean "everyone"?'),
        (
            'mention = { urgent = "<@1>" }',
            'mention.urgent: "<@1>" is no mention; known here: everyone, here, role:ID, user:ID',
        ),
        ('mention = { urgent = "rolle:1" }', 'mention.urgent: "rolle:1" is no mention; did you mean "role"?'),
        ('mention = { urgent = "role:ops" }', 'mention.urgent: "role:ops" has no ID; the ID is the number'),
        ('mention = { urgent = ["here", "here"] }', 'mention.urgent[1]: "here" is listed twice'),
        (f"mention.urgent = {[f'user:{n}' for n in range(51)]}", "mention.urgent: mentions at most 50"),
        ('silent = "lo"', 'silent: no priority is called "lo"; did you mean "low"?'),
        ('push = "some"', 'push: no priority is called "some"'),
        ('push = ["all"]', 'push[0]: no priority is called "all"'),
        ("silent = 5", "silent: must be text, not a number"),
        ('webhook-limit = "5"', 'webhook-limit: "5" is no rate'),
        ('webhook_limit = "5/s"', 'webhook_limit: unknown key; did you mean "webhook-limit"?'),
        ('channel-limit = "0/min"', "channel-limit: a rate counts from 1"),
        ('digest = "5m"', 'digest: must be false or a table like { normal = "2m", low = "5m" }, not text'),
        ("digest = { low = true }", 'digest.low: must be false or a duration like "5m", not true'),
        ('digest = { low = "0s" }', 'digest.low: "0s" must be greater than zero'),
        ('digest = { urgent = "5m" }', "digest.urgent: unknown key; known here: normal, low"),
    ],
)
def test_mistake_in_a_discord_destination_is_reported_once(lines: str, problem: str) -> None:
    assert only_problem(discord(lines)).startswith(f"10: destinations.d.{problem}")


@pytest.mark.parametrize("key", ["mention = {}", "silent = []", 'webhook-limit = "1/s"', 'channel-limit = "1/s"'])
def test_file_destination_refuses_discords_keys(key: str) -> None:
    assert "unknown key" in only_problem(FILE + key + "\n" + TO_FILE)


@pytest.mark.parametrize(
    ("line", "push"),
    [
        ("", ("urgent", "high")),
        ('push = "all"', ("urgent", "high", "normal", "low")),
        ('push = "none"', ()),
        ("push = []", ()),
        ('push = "urgent"', ("urgent",)),
        ('push = ["normal", "low"]', ("normal", "low")),
    ],
)
def test_push_names_priorities_or_all_or_none(line: str, push: tuple[str, ...]) -> None:
    options = read(discord(line)).destinations["d"].options
    assert isinstance(options, DiscordOptions)
    assert options.push == push


def test_mention_of_a_silent_priority_is_a_warning() -> None:
    lines = 'silent = ["low", "high"]\nmention = { high = "here", urgent = "here" }'
    warning = warnings_of(discord(lines))[-1]
    assert warning == "11: destinations.d.mention.high: has no effect: `silent` names this priority as well"


def test_switched_off_destination_is_disabled_with_that_reason() -> None:
    assert read(discord("enabled = false")).destinations["d"].disabled == "switched off in the configuration"
    assert read(discord("enabled = true")).destinations["d"].disabled == "NOT_SET_ANYWHERE is not set"


@pytest.mark.parametrize("name", ["Discord", "my clyde", "x" * 81, ""])
def test_username_that_discord_refuses_is_a_mistake(name: str) -> None:
    assert "destinations.d.username" in only_problem(discord(f'username = "{name}"'))


def warnings_of(text: str) -> list[str]:
    return [warning.removeprefix("alerts.toml:") for warning in read(text).warnings]


def test_routes_without_a_catch_all_are_a_warning() -> None:
    assert "no route takes everything" in warnings_of(FILE + TO_FILE + 'when.tier = "x"')[0]
    four = 'when.priority = ["urgent", "high", "normal", "low"]'
    assert warnings_of(FILE + TO_FILE + four) == []


def test_unreachable_route_is_a_warning_unless_the_catch_all_continues() -> None:
    assert warnings_of(FILE + TO_FILE + TO_FILE) == ["6: routes[1]: never reached: an earlier route takes everything"]
    assert warnings_of(FILE + TO_FILE + "continue = true\n" + TO_FILE) == []


def test_unused_destination_is_a_warning() -> None:
    (warning,) = warnings_of(discord())
    assert warning.startswith("6: destinations.d: no route and no fallback names it")


def test_fallback_chain_in_a_circle_tries_each_destination_once() -> None:
    loop = [
        '[destinations.{}]\nkind="file"\npath="{}"\nfallback="{}"\n'.format(*names) for names in ("aab", "bbc", "cca")
    ]
    text = "".join(loop) + '[[routes]]\nto=["a"]'
    assert warnings_of(text) == []
    assert chain("a", read(text).fallbacks) == ("b", "c")


@pytest.mark.parametrize(
    ("written", "patience"),
    [
        ('{ urgent = "10s" }', Patience(urgent=10.0)),
        ('{ high = "never", normal = false, low = "1h" }', Patience(high=None, normal=None, low=3600.0)),
        ('"never"', NEVER),
        ("false", NEVER),
    ],
)
def test_patience_is_read_by_priority(written: str, patience: Patience) -> None:
    (found,) = read(FILE + f"patience = {written}\n" + TO_FILE).destinations.values()
    assert found.patience == patience


def test_disabled_destination_without_fallback_is_a_warning() -> None:
    text = '[destinations.d]\nkind = "discord"\nwebhook = { env = "NOT_SET_ANYWHERE" }\n[[routes]]\nto = ["d"]'
    assert "nothing else can stand in" in warnings_of(text)[0]


def test_two_destinations_with_one_file_are_a_warning() -> None:
    text = FILE + FILE.replace("destinations.f", "destinations.g") + '[[routes]]\nto = ["f", "g"]'
    assert warnings_of(text) == ['6: destinations.g.path: "f" writes to the same file']


@pytest.mark.parametrize(
    "lines",
    [
        'limit = "{url}"',
        'username = "{url}"\nfallback = ["{url}"]',
        '"{url}" = 1',
        'retry = {{ "{url}" = "1s" }}',
        'retry = {{ first = "{url}" }}',
    ],
)
def test_webhook_under_the_wrong_key_is_masked_in_the_problem(lines: str) -> None:
    for url in (f"https://discord.com/api/webhooks/123/{SECRET}", f"discord.com/api/webhooks/123/{SECRET}"):
        for problem in problems(discord(lines.format(url=url))):
            assert "SECRET" not in problem.upper().replace("A SECRET", "")


toml_values = st.recursive(
    st.booleans()
    | st.integers(-5, 10**9)
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(["file", "5s", "f"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    ["kind", "limit", "fallback", "webhook", "retry", "breaker", "path", "to", "when", "tag", "env", "f"]
)
tables = st.dictionaries(keys, toml_values, max_size=6)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "daemon": toml_values
            | st.dictionaries(st.sampled_from(["socket", "ledger", "reserve", "log"]), toml_values),
            "priorities": toml_values | st.dictionaries(st.sampled_from(["urgent", "high"]), toml_values),
            "destinations": toml_values | st.dictionaries(st.sampled_from(["f", "g"]), tables | toml_values),
            "routes": toml_values | st.lists(tables | toml_values, max_size=3),
        },
    )
)
def test_any_document_is_read_or_refused(data: dict[str, object]) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        assert parse(tomli_w.dumps(data), "x.toml").destinations
    except ConfigurationInvalid as error:
        problems = error.problems
    assert all(problem.line is not None or problem.key == "destinations" for problem in problems)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("journal.db", "journal.db in the state folder is tocsin's own; it needs a file of its own"),
        ("./journal.db-wal", "journal.db-wal in the state folder is tocsin's own; it needs a file of its own"),
        ("a/../journal.redo", "journal.redo in the state folder is tocsin's own; it needs a file of its own"),
        ("spool/x.jsonl", "spool in the state folder is tocsin's own; it needs a file of its own"),
        ("lock", "lock in the state folder is tocsin's own; it needs a file of its own"),
        ("../../etc/passwd", "leaves the state folder; a path elsewhere is written in full, from / on"),
    ],
)
def test_file_destination_refuses_reserved_paths(path: str, problem: str) -> None:
    text = f'[destinations.f]\nkind = "file"\npath = "{path}"\n{TO_FILE}'
    assert only_problem(text).endswith(f"destinations.f.path: {problem}")
    assert read(text.replace(path, "logs/journal/spool.jsonl")).warnings == ()
