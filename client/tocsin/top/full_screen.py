"""The full screen: updates, draws and waits for a key, until the user quits. Only this module and `drawing` need rich."""

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

_PAUSED = 3600.0  # seconds to wait for a key while paused


def show(source: Source, interval: float) -> None:
    """Show the screen until the user quits. The terminal is restored at the end, and while Ctrl-Z has stopped the process."""
    console, screens = Console(highlight=False), Screens()
    while not screens.over:
        with Terminal() as terminal, console.screen() as canvas:
            _visit(screens, source, terminal, canvas, interval)
        if not screens.over:
            os.kill(os.getpid(), signal.SIGSTOP)


def _visit(screens: Screens, source: Source, terminal: Terminal, canvas: ScreenContext, interval: float) -> None:
    """Run until the user quits or presses Ctrl-Z."""
    shown: Want | None = None
    due = 0.0
    while not screens.over:
        if screens.wants != shown or (not screens.paused and time.monotonic() >= due):
            shown = screens.wants
            screens.follow(source.look(shown))
            due = time.monotonic() + interval
        _paint(screens, source, canvas)
        key = terminal.key(_PAUSED if screens.paused else due - time.monotonic())
        if key == SUSPEND:
            return
        if key is not None:
            screens.press(key, source.picture)


def _paint(screens: Screens, source: Source, canvas: ScreenContext) -> None:
    """Draw at the current size of the terminal: $COLUMNS and $LINES may be out of date."""
    console, size = canvas.console, ConsoleDimensions(*os.get_terminal_size())
    console.control(*([Control.home()] if console.size == size else [Control.clear(), Control.home()]))
    console.size = size
    canvas.update(draw(screens, source.picture, console, time.monotonic()))
