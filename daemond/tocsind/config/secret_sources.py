"""The source of a secret: a variable, a file, a credential of systemd, or, with a warning, the configuration itself.

A secret that is not there is no mistake: its destination is disabled with the reason, and its signals go to its fallback. One that is there
and unsafe is a mistake.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from tocsin import paths, trust
from tocsind.secret import Secret

from .problems import masked
from .reader import Location, Mistake, did_you_mean, kind_of
from .values import text

_LONGEST = 4096  # bytes of a secret's file, many times a URL
_FORMS = '{ env = "NAME" }, { file = "/path" } or { credential = "name" }'


class SecretSource(msgspec.Struct, frozen=True):
    """A secret, or the reason why it is not there. `called` names it in messages."""

    secret: Secret | None = None
    reason: str | None = None
    called: str = "the URL"


def secret_url(location: Location, what: str) -> SecretSource:
    """Read a secret URL, which is not checked yet. `what` names it in messages."""
    return secret_text(location, what, "the URL")


def secret(what: str) -> Callable[[Location], SecretSource]:
    """A reader of any other secret: visible ASCII characters without blanks, as headers can carry. `what` names it, as "a bot token"."""
    name = f"the {what.partition(' ')[2]}"

    def read(location: Location) -> SecretSource:
        found = secret_text(location, what, name)
        if found.secret and not re.fullmatch(r"[!-~]+", found.secret.reveal()):
            raise Mistake(f"{found.called} holds a blank or a character that is not ASCII")
        return found

    return read


def password(what: str) -> Callable[[Location], SecretSource]:
    """The same for a password: any characters."""
    name = f"the {what.partition(' ')[2]}"
    return lambda location: secret_text(location, what, name)


def first_reason(*sources: SecretSource | None) -> str | None:
    """Why a destination with these secrets is disabled; None when all are there. A secret that may be absent is None."""
    return next((source.reason for source in sources if source and source.reason), None)


def secret_text(location: Location, what: str, called: str = "it") -> SecretSource:
    """Read any secret; `what` and `called` name it in messages."""
    match location.value:
        case str() as value if value.strip():
            location.warn(_in_the_file(what, exposed=location.findings.exposed))
            return SecretSource(Secret(value.strip()), called=called)
        case dict() as table if len(table) == 1:
            return _from(location, *table)
        case dict() | str():
            raise Mistake(f"must say where {called} is: {_FORMS}")
        case other:
            raise Mistake(f"must be {_FORMS}, not {kind_of(other)}")


def _in_the_file(what: str, *, exposed: bool) -> str:
    worse = ", and every user of this host can read this one (chmod 640 helps)" if exposed else ""
    return f"{what} is a secret, and files get copied{worse}; better: {_FORMS}"


def _from(location: Location, source: str) -> SecretSource:
    if source not in _SOURCES:
        raise Mistake(f"has an unknown source; {did_you_mean(source, _SOURCES)}")
    return _SOURCES[source](location.at(source))


def _from_variable(location: Location) -> SecretSource:
    name = text(location)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Mistake("env takes the name of an environment variable, not its value")
    value = os.environ.get(name, "").strip()
    return SecretSource(Secret(value), called=name) if value else SecretSource(reason=f"{name} is not set")


def _from_file(location: Location) -> SecretSource:
    name = text(location)
    if masked(name) != name:
        raise Mistake("file takes a path, not the secret itself")
    path = Path(location.findings.source).parent / paths.expanded(name)  # a relative one is beside the configuration
    return read_secret(path, name, f"{path} does not exist")


def _from_credential(location: Location) -> SecretSource:
    name = text(location)
    if not re.fullmatch(r"[A-Za-z0-9_@.-]{1,255}", name) or name in {".", ".."}:
        raise Mistake("credential takes the plain name of a credential, as in LoadCredential=")
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return SecretSource(
            reason=f"the credential {name} is not there: CREDENTIALS_DIRECTORY is set in a service only"
        )
    missing = f"the credential {name} is not there: the service needs LoadCredential={name}, and a file to load"
    return read_secret(Path(folder) / name, f"the credential {name}", missing)


_SOURCES: dict[str, Callable[[Location], SecretSource]] = {
    "env": _from_variable,
    "file": _from_file,
    "credential": _from_credential,
}


def read_secret(path: Path, called: str, missing: str) -> SecretSource:
    """The text of a secret's file. `called` names it in messages; `missing` is the reason when there is none.

    Raises Mistake when the file is unsafe or cannot be read.
    """
    try:
        descriptor = trust.open_unjudged(str(path))
    except trust.Untrusted as error:
        raise Mistake(f"{called} is not read: {error.strerror}") from None
    except (FileNotFoundError, NotADirectoryError):
        return SecretSource(reason=missing)
    except PermissionError as error:
        raise Mistake(f"{called} cannot be read: {error.strerror}; {_run('chown', _own_name(), path)}") from None
    except OSError as error:
        raise Mistake(f"{called} cannot be read: {error.strerror}") from None
    try:
        _check_owner_and_mode(
            os.fstat(descriptor), called, path
        )  # of the opened file, which may have been replaced since
        content = os.read(descriptor, _LONGEST + 1)
    except OSError as error:
        raise Mistake(f"{called} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    return _secret_in(content, called)


def _secret_in(content: bytes, called: str) -> SecretSource:
    if len(content) > _LONGEST:
        raise Mistake(f"{called} is longer than {_LONGEST} bytes")
    try:
        value = content.decode().strip()
    except UnicodeDecodeError:
        raise Mistake(f"{called} is no text in UTF-8") from None
    return SecretSource(Secret(value), called=called) if value else SecretSource(reason=f"{called} is empty")


def _check_owner_and_mode(status: os.stat_result, called: str, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Mistake(f"{called} is no regular file")
    if status.st_uid not in {0, os.geteuid()}:
        who = f"another user (uid {status.st_uid}), who could change it"
        raise Mistake(f"{called} belongs to {who}; {_run('chown', _own_name(), path)}")
    private = _run("chmod", "640" if status.st_mode & stat.S_IRGRP else "600", path)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Mistake(f"{called} can be changed by others; {private}")
    if status.st_mode & stat.S_IROTH:
        raise Mistake(f"{called} can be read by every user of this host; {private}")


def _run(*command: object) -> str:
    return f"run: {shlex.join(map(str, command))}"


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a user without a name, as in a container
        return str(os.geteuid())
