"""A fake service as a process of its own: Discord, or another kind.

    python -m tocsind.testing --webhooks 2 --channels 1 --limits 0.01 --log accepted.jsonl

    python -m tocsind.testing KIND --port 8080

The other kinds are in `kinds`; their first line on stdout is {"kind", "port", "control", "destination", "environment"}: the keys of a
destination in alerts.toml that leads there, and the variables that it names (see `service` for the control surface).

Discord's first line on stdout is one JSON object: {"port", "control", "webhooks": [{"id", "token", "url", "channel_id",
"name"}]}. Then it serves until SIGTERM or SIGINT, and leaves with 0. What is written to its log and its control
surface is described in `control` and `messages`.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from tocsind.testing.control import PREFIX, described
from tocsind.testing.discord import FakeDiscord, serve_fake
from tocsind.testing.kinds import SERVICES
from tocsind.testing.limits import Limit
from tocsind.testing.service import serving
from tocsind.testing.settings import CHANNEL_LIMIT, WEBHOOK_LIMIT, Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; argparse leaves with 2 for what it cannot read."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and not arguments[0].startswith("-") and arguments[0] != "discord":
        trio.run(_serve_service, *_service_from(arguments))
    else:
        trio.run(partial(_serve, settings_from(arguments[arguments[:1] == ["discord"] :])))
    return 0


def settings_from(argv: Sequence[str] | None) -> Settings:
    """The command line as Settings."""
    given = _parser().parse_args(argv)
    settings = Settings(
        port=given.port,
        webhooks=given.webhooks,
        channels=given.channels,
        webhook_limit=given.webhook_limit,
        channel_limit=given.channel_limit,
        scale=given.limits or 1.0,
        latency=given.latency,
        clock_skew=given.clock_skew,
        log=given.log,
    )
    return settings if given.limits else settings.without_limits()


async def _serve(settings: Settings) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with serve_fake(settings) as fake:
            _introduce(fake)
            async for _ in signals:
                return


def _service_from(arguments: Sequence[str]) -> tuple[str, int]:
    parser = argparse.ArgumentParser(prog="tocsind.testing", description="A fake service.", allow_abbrev=False)
    parser.add_argument("kind", choices=["discord", *SERVICES])
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    given = parser.parse_args(arguments)
    return given.kind, given.port


async def _serve_service(kind: str, port: int) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with serving(SERVICES[kind](port)) as service:
            place = {
                "kind": kind,
                "port": service.port,
                "control": f"{service.url}{PREFIX}",
                "destination": service.destination(),
                "environment": service.environment(),
            }
            _say(place)
            async for _ in signals:
                return


def _introduce(fake: FakeDiscord) -> None:
    place = {
        "port": fake.port,
        "control": f"http://127.0.0.1:{fake.port}{PREFIX}",
        "webhooks": [described(fake, webhook) for webhook in fake.webhooks],
    }
    _say(place)


def _say(place: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(place).decode() + "\n")
    sys.stdout.flush()  # the parent process waits for this line at the other end of a pipe


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tocsind.testing", description="A fake Discord.", allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--webhooks", type=_positive, default=1)
    parser.add_argument("--channels", type=_positive, help="share so many channels among the webhooks")
    parser.add_argument("--limits", type=_scale, default=1.0, help="real, none, or how long the windows are: 0.01")
    parser.add_argument("--webhook-limit", type=Limit.parse, default=WEBHOOK_LIMIT, metavar="MODEL:N/SECONDS")
    parser.add_argument("--channel-limit", type=Limit.parse, default=CHANNEL_LIMIT, metavar="MODEL:N/SECONDS")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--clock-skew", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append every accepted message as a JSON line")
    return parser


def _scale(text: str) -> float:
    """`real` is 1, `none` is 0, a number is itself."""
    scale = {"real": 1.0, "none": 0.0}.get(text)
    if scale is None:
        scale = float(text)
        if not scale > 0:
            raise argparse.ArgumentTypeError("a scale is greater than 0; to have no limits say none")
    return scale


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
