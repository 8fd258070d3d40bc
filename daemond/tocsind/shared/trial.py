"""A trial of the engine: the steps of a hand-over on keys that no host uses, so that it finds what a hand-over would find.

An engine may answer and still be of no use: it is full, a replica, cannot save, or its user lacks one permission. The first hand-over
would find that, perhaps days later. `tocsind check --online` tries the engine out; so does a host before it counts an engine that refused a
step as there again, because another step that works says nothing about it.

`take_all_steps` takes those that every host needs. `FORBIDDEN_COMMANDS` asks for the permission of each command, also of those that are
needed seldom; their list has to have all that `scripts`, `scope_scripts` and `redis_engine` call.
"""

from __future__ import annotations

from typing import Final

from tocsind.policy.delivery import Priority

from .engine import Account, Cause, Done, Engine, EngineAway, Item, Question, Settled, Window

SECONDS: Final = 10.0  # after which what is left of a trial that was killed may expire

_USES: Final = {  # what each command is called with, after its key
    "HSET": ("f", "v"),
    "HSETNX": ("f", "v"),
    "HGET": ("f",),
    "HMGET": ("f",),
    "HEXISTS": ("f",),
    "HGETALL": (),
    "HLEN": (),
    "HSCAN": ("0",),
    "HDEL": ("f",),
    "ZADD": ("1", "m"),
    "ZRANGE": ("0", "0"),
    "ZRANGEBYSCORE": ("0", "0"),
    "ZSCORE": ("m",),
    "ZCOUNT": ("0", "0"),
    "ZCARD": (),
    "ZREM": ("m",),
    "ZREMRANGEBYRANK": ("0", "0"),
    "ZREMRANGEBYSCORE": ("0", "0"),
    "ZPOPMIN": (),
    "XADD": ("*", "f", "v"),
    "XRANGE": ("-", "-"),
    "XDEL": ("0-1",),
    "SET": ("v",),
    "GET": (),
    "INCR": (),
    "PEXPIRE": ("1000",),
    "PTTL": (),
    "TYPE": (),
    "RENAME": ("=",),
    "DEL": (),
}
_UNKEYED: Final = {"TIME": (), "INFO": ("server",), "PUBLISH": ("=", "")}  # "=" stands for the key


def _calls() -> str:
    keyed = [(name, "=", *rest) for name, rest in _USES.items()]
    unkeyed = [(name, *rest) for name, rest in _UNKEYED.items()]
    return ", ".join(
        "{" + ", ".join("KEYS[1]" if word == "=" else f"'{word}'" for word in call) + "}" for call in (*keyed, *unkeyed)
    )


# KEYS one that does not exist. Errors of other kinds do not count: no command has to work here
FORBIDDEN_COMMANDS: Final = f"""
local forbidden = {{}}
for _, call in ipairs({{{_calls()}}}) do
    local answer = redis.pcall(unpack(call))
    local said = type(answer) == 'table' and answer.err or ''
    if said:find('no permissions', 1, true) or said:find("can't run this command", 1, true) then
        forbidden[#forbidden + 1] = call[1]:lower()
    end
end
redis.pcall('DEL', KEYS[1])
return forbidden
"""


async def take_all_steps(engine: Engine, name: str) -> None:
    """The life of one item, at a target and a scope of this name. Raises EngineAway. What it leaves is for the caller to remove."""
    tended = await engine.tend(name, name, token="", wants=True, alone=True)
    tended = await engine.tend(name, name, token="", wants=True, alone=True)  # the first one made the epoch
    if tended.holder != name:
        raise EngineAway("it gave no lease", Cause.REFUSES)
    item = Item(f"{name}/1", Priority.NORMAL, b"a trial", tended.epoch)
    await engine.account(name, name, Account(tended.epoch))
    await engine.offer(name, name, [item])
    seen = await engine.look(name, name, dict.fromkeys(Priority, ""), 1)
    if [stored.id for _, stored in seen.items] != [item.id]:
        raise EngineAway("it did not keep what was handed over", Cause.REFUSES)
    await _send(engine, name, tended.token, item)
    await engine.offer(name, name, [item])
    await engine.withdraw(name, [item.id])
    await engine.learned(name)
    await engine.report(name, {f"{name}/2/0": tended.now})
    await engine.claim(name, name, SECONDS)
    await engine.release(name, tended.token)


async def _send(engine: Engine, name: str, token: str, item: Item) -> None:
    request = f"{name}/1/0"
    await engine.recall(name, {request: None})
    await engine.ask(name, Question(name, request, [Window(1, 1000, 1, 0)]))
    await engine.begin(name, token, [item.id], [], request)
    await engine.teach(name, b"")
    await engine.answered(name, request, 0)
    await engine.settle(name, token, Settled([Done(item.id, name, b"")], (), request, state={"story t": b"1"}))
    await engine.look(name, name, None, 1)
    await engine.forget(name, name, [item.id])
