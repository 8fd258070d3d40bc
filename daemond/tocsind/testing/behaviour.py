"""What all lines of a script have in common, and what they are told of the request they meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from tocsind.http_server import Reply

ANY_METHOD: Final = "*"

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
FinalStatus: TypeAlias = Annotated[int, msgspec.Meta(ge=200, le=599)]
"""A 1xx is no answer, and HTTP has nothing beyond 599."""
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Location: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]+$")]


class Asked(msgspec.Struct, frozen=True):
    """What a behaviour needs to know of the request it meets."""

    webhook_id: str
    method: str
    version: int
    rate_headers: Mapping[str, str]
    """The bucket's headers, were it not for the script."""
    message: Any = None
    """The body of the request, whatever it is."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="behaviour"):
    """What all of them share."""

    count: Count | None = 1
    webhook: str | None = None
    method: str = "POST"
    delay: Seconds = 0.0

    @property
    def replaces(self) -> bool:
        """Whether the request is answered by `instead`, and never processed."""
        return False

    @property
    def needs_saving(self) -> bool:
        """Whether it waits for a request that succeeds."""
        return True

    def instead(self, asked: Asked) -> Reply:
        """The answer of one that does not let the request be processed."""
        raise NotImplementedError(type(self).__name__)

    def after(self, answer: Reply) -> Reply:
        """What becomes of the answer to a message that was saved."""
        return answer

    def matches(self, asked: Asked) -> bool:
        return self.webhook in {None, asked.webhook_id} and self.method in {ANY_METHOD, asked.method}
