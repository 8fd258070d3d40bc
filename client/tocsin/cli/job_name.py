"""A short name for a command: its script or program, without the shells, interpreters and wrappers before it.

    sh -c 'cd /srv && ./backup.sh --x'     backup.sh
    sudo -u db timeout 5m python -m reports daily     reports daily

The name holds no options, and no arguments that could hold a password: a channel has many readers.
"""

from __future__ import annotations

import re
import shlex
import string
from itertools import takewhile

_PLAIN = frozenset(string.ascii_letters + string.digits + "._-/")
_LONGEST = 100
_DEEPEST = 10  # commands within commands

# Wrappers: their options that take a value, and the number of arguments before the command.
_WRAPPERS = {
    "chronic": ("", 0),
    "chrt": ("TPD", 1),
    "builtin": ("", 0),
    "command": ("", 0),
    "doas": ("Cu", 0),
    "env": ("Cu", 0),
    "eval": ("", 0),
    "exec": ("a", 0),
    "flock": ("Ew", 1),
    "ionice": ("cn", 0),
    "nice": ("n", 0),
    "nohup": ("", 0),
    "runuser": ("ugG", 0),
    "setsid": ("", 0),
    "stdbuf": ("ioe", 0),
    "sudo": ("CDghpRTtUu", 0),
    "systemd-cat": ("pt", 0),
    "taskset": ("", 1),
    "time": ("fo", 0),
    "timeout": ("ks", 1),
    "unbuffer": ("", 0),
}
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "fish", "ksh", "mksh", "zsh"})
_INTERPRETERS = frozenset({"node", "perl", "php", "pypy", "pypy3", "python", "ruby"})
_PROGRAM_FOLLOWS = "ceEr"  # the last letter of an option: `-c`, `-lane`
_SEPARATORS = ";&|()\n"
_REDIRECTION = re.compile(r"\d*[<>]&\d*-?|&?\d*[<>]{1,2}\s*[^\s;&|()<>]+")
_BEFORE_A_COMMAND = frozenset({"!", "do", "else", "elif", "if", "then", "until", "while", "{"})
_NO_JOB = {
    *(".", ":", "[", "[[", "}", "alias", "bind", "cd", "case", "declare", "dirs", "disown", "do", "done", "echo", "enable"),
    *("esac", "exit", "export", "fg", "fi", "for", "function", "getopts", "hash", "jobs", "kill", "let", "local", "popd"),
    *("printf", "pushd", "pwd", "read", "readonly", "return", "select", "set", "setopt", "shift", "shopt", "sleep", "source"),
    *("test", "times", "trap", "true", "type", "typeset", "ulimit", "umask", "unalias", "unset", "wait", "which"),
}  # fmt: skip
_SUBSTITUTION = re.compile(r"\$\([^()]*\)|`[^`]*`")  # `A=$(date) job`: `date` is not the job


def job_name(command: list[str]) -> str:
    """The name of a command that is not empty."""
    words = _unwrapped(command, _DEEPEST)
    plain = takewhile(lambda word: word[:1] != "-" and set(word) <= _PLAIN, words[1:])
    name = " ".join((_base(words[0]), *plain))
    return name.encode("utf-8", "replace").decode()[:_LONGEST]


def _base(program: str) -> str:
    return program.rstrip("/").rpartition("/")[2] or program


def _unwrapped(command: list[str], depth: int) -> list[str]:
    """The words of the innermost command that can be recognized."""
    program, *rest = command
    base = _base(program)
    if not depth or not rest:
        return command
    if base in _WRAPPERS:
        inner = _after_wrapper(rest, *_WRAPPERS[base])
    elif base == "busybox":
        inner = rest
    elif base in _SHELLS:
        inner = _of_shell(rest)
    elif base.rstrip(string.digits + ".") in _INTERPRETERS:
        inner = _of_interpreter(rest)
    else:
        return command
    return _unwrapped(inner, depth - 1) if inner else [program]


def _after_wrapper(words: list[str], with_value: str, arguments: int) -> list[str]:
    left = list(words)
    while left and (left[0].startswith("-") or _is_assignment(left[0])):
        option = left.pop(0)
        if option == "--":
            break
        takes_next = option[0] == "-" and option[1:2] != "-" and option[-1] in with_value and len(option) == 2
        if takes_next and left:
            left.pop(0)
    del left[:arguments]
    while left and _is_assignment(left[0]):
        left.pop(0)
    return _of_shell(left) if left[:1] == ["-c"] else left  # flock FILE -c SCRIPT


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _of_shell(words: list[str]) -> list[str]:
    """The script file, or the first job in the script of `-c`."""
    left = list(words)
    while left and left[0].startswith(("-", "+")):
        options = left.pop(0)
        if options.endswith("o") and not options.startswith("--"):  # -euo pipefail
            del left[:1]
        elif "c" in options and not options.startswith("--"):
            return _first_job(next((each for each in left if not each.startswith("-")), ""))
    return left


def _first_job(script: str) -> list[str]:
    plain = _REDIRECTION.sub(" ", _SUBSTITUTION.sub("$", script))
    lexer = shlex.shlex(plain, posix=True, punctuation_chars=_SEPARATORS)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # an open quote
        return []
    job: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set(_SEPARATORS):
            if job and not _is_preparation(job):
                return job
            job = []
        elif job or not (word in _BEFORE_A_COMMAND or _is_assignment(word)):
            job.append(word)
    return []


def _is_preparation(job: list[str]) -> bool:
    """Whether a command of a script is no job: a builtin, or a question whether a program is there (`command -v pg_dump`)."""
    return job[0] in _NO_JOB or (job[0] == "command" and job[1:2] in (["-v"], ["-V"]))


def _of_interpreter(words: list[str]) -> list[str]:
    """The module of `-m`, or the script; nothing for a program on the command line (`-c`, `-e`)."""
    for place, word in enumerate(words):
        if word == "-m":
            return words[place + 1 :]
        if word in {"-", "--eval"} or (word[:1] == "-" and word[1:2] != "-" and word[-1] in _PROGRAM_FOLLOWS):
            return []
        if not word.startswith("-") and (place == 0 or words[place - 1] not in {"-W", "-X"}):
            return words[place:]
    return []
