"""The configuration: alerts.toml, accepted as a whole or refused with all its mistakes.

Reading never stops at a mistake: an operator should correct a file once, not once per mistake. A `Location` is a value with its place in
the file. Every reader takes a Location and returns a value or raises `Mistake`; `read_table` alone catches it, records it with its line and
goes on to the next key. A table of the file is described by a table here (key -> Field), so unknown keys, missing keys and wrong types
need no code of their own. The values are used only when there was no mistake.

    model           the configuration: frozen structs
    problems        a problem and its place; the error that carries all of them
    lines           the line of each key, which tomllib does not give
    reader          Location, Field, read_table: the mechanism
    values          readers of single values: durations, rates, sizes, texts, choices
    secret_sources  the source of a secret: variable, file, credential
    web_address     checks the URL of a server
    webhook_url     checks the URL of a Discord webhook and brings it into its normal form; pure
    destinations    the keys that all kinds of destination have
    kinds           a module for each kind: its options and its own keys; kind: what such a module must say
    observers       [alarms] and [heartbeat]
    http            [http]: where to listen, and the tokens
    routes          the keys of a route
    expect          the keys of an expectation
    quiet           the keys of quiet hours
    zones           time zones: of the database, and of this host
    advice          warnings: what is allowed, and probably a mistake
    reserved_paths  names in the state folder that no file destination may use
    loading         finds the file, reads the document
    starter         the text of `tocsind init`
    report          the answer of `tocsind check`

A secret leaves this package only as a `Secret`. Messages never quote a webhook. Because people paste URLs into the wrong key, everything
that looks like one is masked in every message (`problems.masked`). A secret that is not there yet (a variable that is not set, a file or
credential that does not exist) disables its destination with the reason; one that is there and wrong is a problem. This package never uses
the network.
"""

from . import webhook_url
from .kinds.discord import DiscordOptions
from .kinds.file import FileOptions
from .loading import BUILT_IN, load, parse
from .model import (
    AlarmsOptions,
    Config,
    DaemonOptions,
    DestinationOptions,
    ExpectOptions,
    HeartbeatOptions,
    HttpOptions,
    Options,
    SharedOptions,
)
from .problems import ConfigurationInvalid, Problem
from .report import report
from .starter import starter_text

__all__ = [
    "BUILT_IN",
    "AlarmsOptions",
    "Config",
    "ConfigurationInvalid",
    "DaemonOptions",
    "DestinationOptions",
    "DiscordOptions",
    "ExpectOptions",
    "FileOptions",
    "HeartbeatOptions",
    "HttpOptions",
    "Options",
    "Problem",
    "SharedOptions",
    "load",
    "parse",
    "report",
    "starter_text",
    "webhook_url",
]
