"""The process in which Apprise sends one message: a JSON object on standard input, an exit code, and a line of text on standard output.

    {"url", "deadline", "title", "body", "type"}    0 delivered, 1 not or only in part, 78 no service fits the URL, or no Apprise
    {"url", "deadline"}                             0 a service fits, 78 as above

The daemon kills it at its deadline, a number of seconds; if the daemon has been killed itself, the process ends a little later on its own.

It is run by its path, never imported, and needs nothing but Apprise. The process ends without waiting for threads: Apprise's outlive a send
to a slow server.
"""

import json
import logging
import os
import signal
import sys

_NOT_DELIVERED = 1
_UNUSABLE = 78
_AFTER_DEADLINE = 5  # seconds


class _LastWords(logging.Handler):
    """Keeps the last text."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def main() -> tuple[int, str]:
    """The exit code and the text."""
    wanted = json.load(sys.stdin)
    signal.alarm(int(wanted["deadline"]) + _AFTER_DEADLINE)
    try:
        import apprise  # noqa: PLC0415 - it may not be there
    except ImportError:
        return _UNUSABLE, f"apprise is not installed for {sys.executable}"
    words = _LastWords(logging.WARNING)
    logger = logging.getLogger("apprise")
    logger.addHandler(words)
    logger.propagate = False
    service = apprise.Apprise.instantiate(wanted["url"])
    if service is None:
        return _UNUSABLE, "no service of Apprise fits the URL"
    if "title" not in wanted:
        return 0, ""
    if "upstream" in str(service.overflow_mode).lower():  # a text that is too long would be refused
        service.overflow_mode = type(service.overflow_mode)("truncate")
    notifier = apprise.Apprise()
    notifier.add(service)
    sent = notifier.notify(title=wanted["title"], body=wanted["body"], notify_type=wanted["type"], body_format="text")
    return (0, "") if sent else (_NOT_DELIVERED, words.text)


if __name__ == "__main__":
    output = os.dup(1)
    os.dup2(2, 1)  # what plugins print is no answer
    code, said = main()
    os.write(output, said.encode("utf-8", "replace")[:2000])
    os._exit(code)
