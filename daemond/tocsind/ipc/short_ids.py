"""Messages and listings show the end of an id; a question may name a signal by it."""

from __future__ import annotations

from tocsind.journal import Journal, queries

from .connection import Refusal

LENGTH = 26  # characters of a whole id
SHORTEST = 4  # characters of an end: what fewer stand for is chance
_MOST_NAMED = 5  # ids in an error


async def whole_id(journal: Journal, id_: str) -> str:
    """The id that ends in `id_`; `id_` itself when it is whole, or when none does. Raises Refusal for the end of several."""
    found = await _ending_in(journal, id_)
    if len(found) > 1:
        more = " and more" if len(found) > _MOST_NAMED else ""
        named = ", ".join(found[:_MOST_NAMED])
        raise Refusal("bad-request", f"several ids end in {id_}: {named}{more}; give one of them")
    return found[0] if found else id_


async def is_known(journal: Journal, id_: str) -> bool:
    """Whether the journal has this signal, or one whose id ends so."""
    return await journal.run(queries.states, id_) is not None or bool(await _ending_in(journal, id_))


async def _ending_in(journal: Journal, id_: str) -> list[str]:
    if not (SHORTEST <= len(id_) < LENGTH and id_.isascii() and id_.isalnum()):
        return []
    return await journal.run(queries.ids_ending_in, id_, _MOST_NAMED + 1)
