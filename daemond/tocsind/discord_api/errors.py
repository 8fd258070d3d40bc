"""The shapes in which Discord's API answers: JSON with `message` and `code`, and for a form the tree of its faults.

Sources: Discord's documentation of error codes; bodies seen in other libraries' issue trackers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from tocsind.http_server import Reply


def as_json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """Any value as a JSON answer."""
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, msgspec.json.encode(value))


def error(status: int, code: int, message: str, errors: Mapping[str, Any] | None = None) -> Reply:
    """A refusal in Discord's words; `errors` is the tree of a 50035."""
    body: dict[str, Any] = {"message": message, "code": code}
    return as_json(status, body | {"errors": errors} if errors else body)


def plain_error(status: int) -> Reply:
    """What the router says when it never came to Discord's own code: code 0."""
    return error(status, 0, f"{status}: {phrase(status)}")


def unknown_webhook() -> Reply:
    """Never was, or was deleted."""
    return error(404, 10015, "Unknown Webhook")


def unknown_message() -> Reply:
    """No living message of this webhook."""
    return error(404, 10008, "Unknown Message")


def invalid_token() -> Reply:
    """The webhook is there, the token is another one's."""
    return error(401, 50027, "Invalid Webhook Token")


def invalid_version() -> Reply:
    """An API that is gone, or not there yet."""
    return error(400, 50041, "Invalid API version provided")


def too_large() -> Reply:
    """A file beyond the limit, in the words of the edge."""
    return error(413, 40005, "Request entity too large")


def invalid_json() -> Reply:
    """The body cannot be decoded at all."""
    return error(400, 50109, "The request body contains invalid JSON.")


def empty_message() -> Reply:
    """Nothing for a reader to see; no form error, so no path."""
    return error(400, 50006, "Cannot send an empty message")


def no_forum() -> Reply:
    """`thread_name` outside a forum; the fake has none."""
    return error(400, 220003, "Webhooks can only create threads in forum channels")


def invalid_form(errors: Mapping[str, Any]) -> Reply:
    """The form errors of `forms.Faults.tree`."""
    return error(400, 50035, "Invalid Form Body", errors)


def phrase(status: int) -> str:
    """The words of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Error"  # Cloudflare's 52x are in no registry


def reason_of(reply: Reply) -> str:
    """A refusal as one line for people: its message, and the first fault with its place."""
    body = msgspec.json.decode(reply.body)
    fault = next(_faults(body.get("errors")), None)
    return f"{body['message']}: {fault}" if fault else str(body["message"])


def _faults(tree: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(tree, dict):
        for step, below in tree.items():
            yield from _faults(below, path if step == "_errors" else (*path, step))
    elif isinstance(tree, list):
        yield from (f"{'.'.join(path)}: {each['message']}" for each in tree)
