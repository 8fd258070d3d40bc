"""Suggestions for misspelled words on the command line. Only a mistake loads this module."""

from __future__ import annotations

from tocsin.likely_words import likely

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS_FOR = {  # what other tools call it
    "tail": "events log logs",
    "top": "watch monitor",
    "queue": "list ls",
    "why": "history show explain",
    "status": "info health",
    "retry": "resend requeue",
    "drop": "cancel delete remove rm",
    "send": "notify publish",
    "run": "exec",
    "test": "dry-run",
    "backup": "dump copy",
    "silence": "mute",
    "ack": "acknowledge",
    "expect": "heartbeat",
    "--body": "message text msg",
    "--field": "label",
    "--to": "dest destination channel",
    "--expires": "ttl deadline",
    "--link": "url",
    "--attach": "file",
    "--priority": "prio severity level",
}
_MEANINGS = {other: word for word, others in _WORDS_FOR.items() for other in others.split()}
_ELSEWHERE = {  # verbs of the daemon, and what its supervisor does
    "check": "tocsind check",
    "init": "tocsind init",
    "service": "tocsind service",
    "start": "tocsind run",
    "serve": "tocsind run",
    "version": "tocsin --version",
    "help": "tocsin --help",
    "stop": "systemctl stop tocsind",
    "restart": "systemctl restart tocsind",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to append to an error's text, or an empty string."""
    close = likely(word.partition("=")[0], known, _MEANINGS)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def other_verb(name: str, verbs: Iterable[str]) -> str:
    """`did_you_mean` for a verb, which may belong to another command."""
    return f"; did you mean `{_ELSEWHERE[name]}`?" if name in _ELSEWHERE else did_you_mean(name, verbs)
