"""The full screen: look, draw, wait for a key, until the person leaves. With `painting` the only module that needs rich."""

from __future__ import annotations

import os
import signal
import time

from rich.console import Console, ConsoleDimensions, ScreenContext
from rich.control import Control

from .drawing import draw
from .screens import Screens, Want
from .source import Source
from .terminal import SUSPEND, Terminal

_PAUSED = 3600.0  # seconds: as good as for ever, and a number that select can wait for


def show(source: Source, interval: float) -> None:
    """Take the terminal, and give it back: at the end, and while Ctrl-Z has stopped us."""
    console, screens = Console(highlight=False), Screens()
    while not screens.over:
        with Terminal() as terminal, console.screen() as canvas:
            _visit(screens, source, terminal, canvas, interval)
        if not screens.over:
            os.kill(os.getpid(), signal.SIGSTOP)


def _visit(screens: Screens, source: Source, terminal: Terminal, canvas: ScreenContext, interval: float) -> None:
    """Until the person leaves, or stops us."""
    asked: Want | None = None
    due = 0.0
    while not screens.over:
        if screens.wants != asked or (not screens.paused and time.monotonic() >= due):
            asked = screens.wants
            source.look(asked)
            due = time.monotonic() + interval
        _paint(screens, source, canvas)
        key = terminal.key(_PAUSED if screens.paused else due - time.monotonic())
        if key == SUSPEND:
            return
        if key is not None:
            screens.press(key, source.picture)


def _paint(screens: Screens, source: Source, canvas: ScreenContext) -> None:
    """Draw from the upper left corner of the terminal as large as it is now: $COLUMNS and $LINES are of another time."""
    console, size = canvas.console, ConsoleDimensions(*os.get_terminal_size())
    console.control(*([Control.home()] if console.size == size else [Control.clear(), Control.home()]))
    console.size = size
    canvas.update(draw(screens, source.picture, console, time.monotonic()))
