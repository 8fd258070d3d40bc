"""The configuration: alerts.toml, read all at once, or refused all at once.

A person who fixes a file one complaint at a time stops trusting the tool that complains. So reading never stops at a mistake: a `Spot` is a
value together with where it stands, every reader takes a Spot and either answers or raises `Mistake`, and `read_table` is the
one place that catches it, writes it down with its line and goes on to the next key. A table of the file is a table here too (key ->
Field), which is why unknown keys, missing ones and wrong types need no code of their own. What the readers return is only ever used
when nobody complained.

    model         what a configuration is: frozen structs
    problems      a complaint and its place; the error that carries all of them
    lines         on which line a key stands: tomllib does not say
    reader        Spot, Field, read_table: the mechanism
    values        leaf readers: durations, rates, sizes, texts, choices
    webhooks      where a webhook's secret comes from: variable, file, credential
    webhook_url   what a webhook URL must look like, and its one normal form; pure
    destinations  the keys of a destination, common and by kind
    discord       those of kind "discord"
    watching      the keys of [metrics], [alarms] and [heartbeat]: how others see that we are well
    routes        the keys of a route
    advice        what is allowed, and probably not meant
    loading       finding the file, reading the document
    starting      the text of `tocsind init`
    report        the answer of `tocsind check`

A secret leaves this room only as a `Secret`. Complaints never quote a webhook, and because people paste URLs into the wrong key,
whatever looks like one is masked in every complaint (`problems.masked`). What is not there yet (a variable that is not set, a file or
credential that does not exist) disables its destination with the reason; what is there and wrong is a problem. Nothing here touches the
network.
"""

from . import webhook_url
from .loading import load, parse
from .model import (
    AlarmsOptions,
    Config,
    DaemonOptions,
    DestinationOptions,
    DiscordOptions,
    FileOptions,
    HeartbeatOptions,
    MetricsOptions,
)
from .problems import ConfigurationInvalid, Problem
from .report import report
from .starter import starter_text

__all__ = [
    "AlarmsOptions",
    "Config",
    "ConfigurationInvalid",
    "DaemonOptions",
    "DestinationOptions",
    "DiscordOptions",
    "FileOptions",
    "HeartbeatOptions",
    "MetricsOptions",
    "Problem",
    "load",
    "parse",
    "report",
    "starter_text",
    "webhook_url",
]
