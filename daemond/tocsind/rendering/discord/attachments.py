"""The files of a message: unique names, and which of them an embed shows."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, Final

from tocsind.policy.delivery import Delivery

_SHOWN: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp")  # Discord shows these in an embed, by the name's ending


def attachment_names(deliveries: Sequence[Delivery], gone: Container[int] = ()) -> dict[int, str]:
    """The file's name for each place of which a file goes along; `gone` are the places whose file is not to be had."""
    names: dict[int, str] = {}
    for place, delivery in enumerate(deliveries):
        if delivery.signal.attach and not delivery.plain_format and place not in gone:
            name = delivery.signal.attach
            names[place] = f"{place + 1}-{name}" if name in names.values() else name
    return names


def image(name: str | None) -> dict[str, Any] | None:
    """An embed's image, when the file of this name is one."""
    return {"url": f"attachment://{name}"} if name and name.lower().endswith(_SHOWN) else None
