"""The table of routes and the tokens: which request reaches a handler, and what every other one is answered."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tocsind.config import HttpOptions
from tocsind.events import ConnectionRefused, Emit, Event
from tocsind.http.access import Access, Grant, Needs, cookie_name
from tocsind.http.replies import plain
from tocsind.http.routing import Call, Router
from tocsind.http_server import Admitted, Reply, Request
from tocsind.secret import Secret

TOKEN, ONE = "the-token-of-all", "the-token-of-one"
OPTIONS = HttpOptions("127.0.0.1:9464", Secret(TOKEN), {"one": Secret(ONE)})


def request(path: str = "/send", method: str = "GET", query: dict[str, str] | None = None, **headers: str) -> Request:
    return Request(
        method,
        path,
        query or {},
        {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}},
        b"",
    )


async def _answer(call: Call) -> Reply:
    return plain(200, f"{dict(call.values)} {call.grant.only}")


def router(options: HttpOptions = OPTIONS, emit: Emit = lambda _: None) -> Router:
    made = Router(emit)
    made.apply(options)
    made.add("GET", "/open", _answer, needs=Needs.NOTHING)
    made.add("GET", "/page", _answer, needs=Needs.READ)
    made.add("POST", "/send", _answer, needs=Needs.SEND, body=10)
    made.add("POST", "/hooks/{destination}/{token}", _answer, needs=Needs.SEND, body=10)
    return made


def test_unknown_path_is_answered_with_the_paths_that_are_there() -> None:
    made = router()
    made.add("GET", "/x/{name}/{token}", _answer, needs=Needs.SEND, shown="/x/NAME/TOKEN")
    found = made.inspect(request("/elsewhere"))
    assert isinstance(found, Reply)
    assert b"/x/NAME/TOKEN" in found.body
    assert b"{" not in found.body


def verdict(found: Reply | Admitted) -> int:
    return found.status if isinstance(found, Reply) else 200


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("/open"), 200),
        (request("/open", "HEAD"), 200),
        (request("/open", "POST"), 405),
        (request("/elsewhere"), 404),
        (request("/page"), 401),
        (request("/page", authorization=f"Bearer {TOKEN}"), 200),
        (request("/page", authorization=f"bearer {TOKEN}"), 200),
        (request("/page", authorization=f"Bearer {ONE}"), 401),
        (request("/page", query={"token": TOKEN}), 200),
        (request("/send", "POST"), 401),
        (request("/send", "POST", authorization=f"Bearer {TOKEN}x"), 401),
        (request("/send", "POST", authorization=f"Bearer {ONE}"), 200),
        (request("/send", "POST", authorization=f"Basic {b64encode(f'me:{TOKEN}'.encode()).decode()}"), 200),
        (request("/send", "POST", authorization="Basic %%%"), 401),
        (request("/send", "POST", authorization="Bearer ünicode"), 401),
        (request(f"/hooks/one/{TOKEN}", "POST"), 200),
        (request(f"/hooks/one/{ONE}", "POST"), 200),
        (request("/hooks/one/wrong", "POST"), 401),
        (request(f"/hooks/one/{TOKEN}/more", "POST"), 404),
        (request(f"/hooks/one/{TOKEN}", "POST", content_length="11"), 413),
        (request("/open", host="evil.example"), 403),
        (request("/open", origin="https://evil.example"), 403),
    ],
)
def test_router_answers_what_no_handler_has_to(asked: Request, status: int) -> None:
    assert verdict(router().inspect(asked)) == status


def test_possible_alert_to_an_unknown_path_is_reported() -> None:
    told: list[Event] = []
    made = router(emit=told.append)
    for method in ("GET", "POST", "PUT", "PATCH"):
        made.inspect(request("/sned", method))
    reports = [each.kind for each in told if isinstance(each, ConnectionRefused)]
    assert (reports, len(told)) == (["http-404"] * 3, 3)


def test_router_without_token_knows_open_paths_only() -> None:
    bare = router(HttpOptions("127.0.0.1:9464"))
    assert verdict(bare.inspect(request("/open"))) == 200
    for asked in (request("/page"), request("/send", "POST"), request("/page", query={"token": ""})):
        refusal = bare.inspect(asked)
        assert isinstance(refusal, Reply)
        assert (refusal.status, refusal.body) == (404, b"there are /open; with a `token` in [http] there is more\n")


async def test_router_passes_decoded_path_segments() -> None:
    told = await router().answer(request(f"/hooks/a%2Fb%20c/{ONE}", "POST"))
    assert b"'destination': 'a/b c'" in told.body
    assert told.body.endswith(b" one\n")


def test_cookie_permits_reading_and_never_sending() -> None:
    access = Access(OPTIONS)
    cookie = access.cookie_for(request("/page", query={"token": TOKEN}))
    assert cookie is not None
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    returned = request("/page", cookie=f"other=1; {cookie.partition(';')[0]}")
    assert access.grant(returned, Needs.READ) == Grant()
    assert access.grant(returned, Needs.SEND) is None
    assert access.grant(request("/page", cookie=f"{cookie_name(returned)}={TOKEN}"), Needs.READ) is None
    assert access.cookie_for(request("/page", query={"token": ONE})) is None


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:9464", "tocsin-9464"),
        ("[::1]:80", "tocsin-80"),
        ("localhost", "tocsin"),
        ("[::1]", "tocsin"),
        ("a:b", "tocsin"),
    ],
)
def test_cookie_is_named_by_the_port_that_the_browser_knows(host: str, name: str) -> None:
    access = Access(OPTIONS)
    cookie = access.cookie_for(request("/page", query={"token": TOKEN}, host=host))
    assert cookie is not None
    assert cookie.startswith(f"{name}=")
    sent = cookie.partition(";")[0]
    assert access.grant(request("/page", cookie=f"tocsin-1=another; {sent}", host=host), Needs.READ) is not None
    assert access.grant(request("/page", cookie=sent, host="localhost:9999"), Needs.READ) is None


async def test_call_has_the_cookie_where_reading_is_enough() -> None:
    found: list[str | None] = []

    async def handler(call: Call) -> Reply:
        found.append(call.cookie)
        return plain(200, "")

    made = router()
    made.add("GET", "/look", handler, needs=Needs.READ)
    made.add("POST", "/look", handler, needs=Needs.SEND)
    for method in ("GET", "POST"):
        await made.answer(request("/look", method, query={"token": TOKEN}))
    await made.answer(request("/look", authorization=f"Bearer {TOKEN}"))
    assert [each is not None for each in found] == [True, False, False]


def test_cookie_ends_with_its_token() -> None:
    cookie = Access(OPTIONS).cookie_for(request("/page", query={"token": TOKEN}))
    assert cookie is not None
    returned = request("/page", cookie=cookie.partition(";")[0])
    assert Access(HttpOptions("127.0.0.1:9464", Secret("another-token"))).grant(returned, Needs.READ) is None
