"""What a script can do to a request, and the bounds that no client can talk the server out of."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import msgspec
import pytest
import trio

from tocsind.http_server import Bounds
from tocsind.testing import (
    Behaviour,
    Cut,
    Drop,
    FakeDiscord,
    NoId,
    Normal,
    NotJson,
    Poison,
    RateLimited,
    Redirect,
    Scope,
    Settings,
    Slow,
    Status,
    serve_fake,
)

UNLIMITED = Settings(webhooks=2).without_limits()


async def post(http: httpx.AsyncClient, fake: FakeDiscord, webhook: int = 0) -> httpx.Response:
    return await http.post(fake.url(webhook), params={"wait": "true"}, json={"content": "x"})


async def statuses(fake: FakeDiscord, times: int) -> list[int]:
    async with httpx.AsyncClient() as http:
        return [(await post(http, fake)).status_code for _ in range(times)]


async def test_fake_repeats_a_scripted_status_and_saves_nothing() -> None:
    async with serve_fake(UNLIMITED) as fake:
        fake.script(Status(status=503, count=2))
        assert await statuses(fake, 3) == [503, 503, 200]
    assert fake.counts.by_status == {503: 2, 200: 1}
    assert len(fake.messages) == 1


async def test_fake_runs_a_script_in_order() -> None:
    async with serve_fake(UNLIMITED) as fake:
        fake.script(Normal(count=2), Status(status=500), {"behaviour": "status", "status": 502, "count": None})
        assert await statuses(fake, 5) == [200, 200, 500, 502, 502]
        assert fake.scripted == (Status(status=502, count=None),)
        fake.clear_script()
        assert await statuses(fake, 1) == [200]


async def test_fake_script_line_may_apply_to_one_webhook_or_method() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(Status(status=500, webhook=fake.webhooks[1].id), Status(status=501, method="GET"))
        assert (await post(http, fake, 0)).status_code == 200
        assert (await post(http, fake, 1)).status_code == 500
        assert (await http.get(fake.url(1))).status_code == 501


async def test_fake_error_is_json_or_html() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(
            Status(status=404, code=10003, message="Unknown Channel"),
            Status(status=520, html=True, retry_after=7),
        )
        json, html = await post(http, fake), await post(http, fake)
    assert json.json() == {"message": "Unknown Channel", "code": 10003}
    assert (html.status_code, html.headers["Retry-After"]) == (520, "7")
    assert html.text.startswith("<html>")


async def test_fake_may_save_a_message_and_answer_with_an_error() -> None:
    async with serve_fake(UNLIMITED) as fake:
        fake.script(Status(status=504, saved=True))
        assert await statuses(fake, 1) == [504]
    assert len(fake.messages) == 1


@pytest.mark.parametrize(("line", "saved"), [(Drop(), 0), (Drop(saved=True), 1), (Cut(), 1)])
async def test_fake_may_drop_a_connection_before_or_after_saving(line: Behaviour, saved: int) -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(line)
        with pytest.raises(httpx.RemoteProtocolError):
            await post(http, fake)
        assert len(fake.messages) == saved
        assert (await post(http, fake)).status_code == 200
    assert (fake.counts.dropped, fake.counts.answers) == (1, 1)


async def test_fake_saves_a_message_whose_slow_answer_comes_too_late() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient(timeout=0.05) as http:
        fake.script(Slow(delay=60))
        with pytest.raises(httpx.ReadTimeout):
            await post(http, fake)
        assert len(fake.messages) == 1


async def test_fake_redirect_saves_nothing() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(Redirect(status=307, location="http://127.0.0.1:1/x"))
        answer = await post(http, fake)
    assert (answer.status_code, answer.headers["Location"]) == (307, "http://127.0.0.1:1/x")
    assert fake.messages == ()


async def test_fake_may_answer_200_without_proof() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(NotJson(), NoId())
        html, anonymous = await post(http, fake), await post(http, fake)
    assert html.status_code == anonymous.status_code == 200
    assert "html" in html.headers["Content-Type"]
    assert "id" not in anonymous.json()
    assert len(fake.messages) == 2


async def test_fake_script_line_about_a_saved_message_waits_for_one() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(Status(status=500, saved=True))
        refused = await http.post(fake.url(), params={"wait": "true"}, json={"content": ""})
        assert (refused.status_code, len(fake.scripted)) == (400, 1)
        assert (await post(http, fake)).status_code == 500
        assert fake.scripted == ()


async def embedded(http: httpx.AsyncClient, fake: FakeDiscord, *embeds: Mapping[str, object]) -> httpx.Response:
    return await http.post(fake.url(), params={"wait": "true"}, json={"content": "bad?", "embeds": embeds})


GOOD = {"title": "fine"}
BAD = {"title": "t", "fields": [{"name": "n", "value": "this is bad"}]}


async def test_fake_refuses_a_poisoned_part_by_its_path_each_time() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(Poison(text="bad", within="fields"))
        for _ in range(2):
            answer = await embedded(http, fake, GOOD, BAD, GOOD, BAD)
            assert (answer.status_code, answer.json()["code"]) == (400, 50035)
            assert list(answer.json()["errors"]["embeds"]) == ["1", "3"]
        assert (await embedded(http, fake, GOOD, {"title": "bad"})).status_code == 200
    assert len(fake.messages) == 1


async def test_fake_refuses_poison_in_any_part_named_or_not() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(Poison(text="bad", named=False, count=1))
        answer = await embedded(http, fake, BAD)
        assert answer.json() == {"message": "Invalid Form Body", "code": 50035}
        assert (await embedded(http, fake, BAD)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"embeds": 5}', b'{"embeds": [5, {"fields": [null, 1.5]}]}'])
async def test_fake_finds_no_poison_in_what_is_no_message(body: bytes) -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(Poison(text="5"))
        answer = await http.post(fake.url(), content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {204, 400}
        assert "POISONED" not in answer.text


async def test_fake_error_may_be_cloudflares_or_a_form_tree() -> None:
    tree = {"username": {"_errors": [{"code": "X", "message": "Bad"}]}}
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(Status(status=403, text="error code: 1015", retry_after=5), Status(400, code=50035, errors=tree))
        blocked, refused = await post(http, fake), await post(http, fake)
    assert (blocked.status_code, blocked.text, blocked.headers["Retry-After"]) == (403, "error code: 1015", "5")
    assert refused.json()["errors"] == tree


async def test_fake_rate_limit_may_have_no_scope() -> None:
    async with serve_fake(Settings(webhooks=1)) as fake, httpx.AsyncClient() as http:
        fake.script(RateLimited(scope=Scope.SHARED, bare=True, retry_after=3))
        answer = await post(http, fake)
    assert answer.json()["retry_after"] == 3000  # the path has no version
    assert answer.headers["X-RateLimit-Remaining"] == "4"
    assert "X-RateLimit-Scope" not in answer.headers
    assert fake.counts.limited == {"unsaid": 1}


async def test_posts_are_counted_apart_from_other_requests() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        fake.script(Status(500))
        message = (await post(http, fake), await post(http, fake))[1].json()["id"]
        await http.get(fake.url())
        await http.patch(f"{fake.url()}/messages/{message}", json={"content": "y"})
    assert (fake.counts.requests, fake.counts.posts) == (4, 2)


@pytest.mark.parametrize(
    "line",
    [
        {"behaviour": "explode"},
        {"behaviour": "poison"},
        {"behaviour": "status"},
        {"behaviour": "status", "status": 500, "cuont": 3},
        {"behaviour": "rate_limited", "scope": "everyone"},
        {"behaviour": "normal", "count": 0},
        Status(status=99),
        Redirect(location="http://127.0.0.1/\r\nX-Injected: yes"),
        Slow(delay=-1),
    ],
)
async def test_fake_refuses_an_unreadable_script_line(line: Behaviour | dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        FakeDiscord(UNLIMITED).script(line)


async def test_fake_refuses_a_whole_script_for_one_unreadable_line() -> None:
    fake = FakeDiscord(UNLIMITED)
    with pytest.raises(msgspec.ValidationError):
        fake.script(RateLimited(), {"behaviour": "explode"})
    assert fake.scripted == ()


async def test_held_requests_may_have_been_saved_already() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http, trio.open_nursery() as nursery:
        fake.hold(saved=True)
        nursery.start_soon(post, http, fake)
        await fake.until(lambda: fake.counts.held == 1)
        assert len(fake.messages) == 1
        fake.release()


async def raw(fake: FakeDiscord, wire: bytes) -> bytes:
    """Everything the server says to these bytes until it hangs up."""
    stream = await trio.open_tcp_stream("127.0.0.1", fake.port)
    async with stream:
        await stream.send_all(wire)
        return b"".join([chunk async for chunk in stream])


async def test_fake_closes_a_connection_that_is_not_http() -> None:
    async with serve_fake(UNLIMITED) as fake:
        assert (await raw(fake, b"hello there\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_endless_headers_are_cut_short() -> None:
    async with serve_fake(UNLIMITED) as fake:
        wire = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000
        assert (await raw(fake, wire)).startswith(b"HTTP/1.1 431 ")


async def test_fake_refuses_a_body_beyond_its_bound() -> None:
    async with serve_fake(Settings(bounds=Bounds(body=10))) as fake:
        wire = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 11\r\n\r\n" + b"x" * 11
        assert (await raw(fake, wire)).startswith(b"HTTP/1.1 413 ")


async def test_fake_closes_an_idle_connection() -> None:
    async with serve_fake(Settings(bounds=Bounds(idle=0.01))) as fake:
        assert await raw(fake, b"GET / HTTP/1.1\r\n") == b""


async def test_connection_beyond_the_bound_ends_the_one_that_waits_for_a_head() -> None:
    async with (
        serve_fake(Settings(bounds=Bounds(connections=1))) as fake,
        httpx.AsyncClient() as http,
        await trio.open_tcp_stream("127.0.0.1", fake.port) as stream,
    ):
        await stream.send_all(b"POST / HT")
        assert (await post(http, fake)).status_code == 200
        assert await stream.receive_some(1000) == b""


async def test_fake_answers_expect_continue() -> None:
    async with serve_fake(UNLIMITED) as fake, await trio.open_tcp_stream("127.0.0.1", fake.port) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"{}")
        assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 404 ")


async def test_fake_survives_a_client_that_disconnects_in_a_request() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        async with await trio.open_tcp_stream("127.0.0.1", fake.port) as stream:
            await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert (await http.head(f"http://127.0.0.1:{fake.port}/")).status_code == 404
        assert (await post(http, fake)).status_code == 200
