"""The fake Discord over a real socket: routes, messages, and what a reader sees."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
import pytest
import trio

from tocsind.testing import FakeDiscord, Limit, Model, Settings, serve_fake

UNLIMITED = Settings(webhooks=2).without_limits()


def versioned(fake: FakeDiscord, webhook: int = 0) -> str:
    return fake.url(webhook).replace("/api/", "/api/v10/")


async def test_fake_returns_a_message_with_its_id_on_wait() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        answer = await http.post(versioned(fake), params={"wait": "true"}, json={"content": " hello "})
    assert answer.status_code == 200
    (message,) = fake.messages
    assert answer.json()["id"] == message.message_id
    assert answer.json()["content"] == "hello"
    assert message.payload["content"] == "hello"
    assert message.webhook_id == fake.webhooks[0].id


async def test_without_wait_a_good_message_and_a_lost_one_look_alike() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        good = await http.post(versioned(fake), json={"content": "hello"})
        lost = await http.post(versioned(fake), json={"content": "x" * 2001})
    assert (good.status_code, good.content) == (lost.status_code, lost.content) == (204, b"")
    assert len(fake.messages) == fake.counts.accepted == 1
    assert fake.counts.unsaved == 1


async def test_fake_refuses_a_faulty_message_with_the_path_of_each_fault() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        body = {"embeds": [{"title": "fine"}, {"description": "x" * 4097}]}
        answer = await http.post(versioned(fake), params={"wait": "true"}, json=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == 50035
    fault = answer.json()["errors"]["embeds"]["1"]["description"]["_errors"][0]
    assert fault == {"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 4096 or fewer in length."}
    assert fake.messages == ()


async def test_fake_has_codes_for_an_empty_message_and_a_broken_body() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        json_type = {"Content-Type": "application/json"}
        empty = await http.post(versioned(fake), params={"wait": "true"}, json={"content": " "})
        broken = await http.post(versioned(fake), content=b'{"content": ', headers=json_type)
        deep = await http.post(versioned(fake), content=b"[" * 100_000, headers=json_type)
    assert [answer.json()["code"] for answer in (empty, broken, deep)] == [50006, 50109, 50109]


async def test_fake_webhook_has_a_channel() -> None:
    async with serve_fake(Settings(webhooks=3, channels=2)) as fake, httpx.AsyncClient() as http:
        channels = [(await http.get(versioned(fake, n))).json()["channel_id"] for n in range(3)]
    assert channels[0] == channels[2] != channels[1]
    assert channels == [webhook.channel_id for webhook in fake.webhooks]


async def test_fake_distinguishes_unknown_webhook_and_wrong_token() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        unknown = await http.get(versioned(fake).replace("/11", "/99"))
        wrong = await http.get(versioned(fake) + "x")
        elsewhere = await http.get(f"http://127.0.0.1:{fake.port}/api/v10/gateway")
        old = await http.get(versioned(fake).replace("v10", "v5"))
        put = await http.put(versioned(fake))
    assert (unknown.status_code, unknown.json()["code"]) == (404, 10015)
    assert (wrong.status_code, wrong.json()["code"]) == (401, 50027)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, 0)
    assert (old.status_code, old.json()["code"]) == (400, 50041)
    assert put.status_code == 405


async def test_hits_after_a_deletion_are_refused_and_counted() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        assert (await http.delete(versioned(fake))).status_code == 204
        fake.delete(1)
        answers = [await http.post(versioned(fake, n), json={"content": "x"}) for n in (0, 0, 1)]
    assert {answer.json()["code"] for answer in answers} == {10015}
    assert fake.counts.after_deletion == {fake.webhooks[0].id: 2, fake.webhooks[1].id: 1}


@pytest.mark.parametrize("agent", ["Python-urllib/3.11", ""])
async def test_fake_answers_a_foreign_user_agent_in_plain_text(agent: str) -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        answer = await http.post(versioned(fake), json={"content": "x"}, headers={"User-Agent": agent})
    assert (answer.status_code, answer.text) == (403, "error code: 1010")
    assert fake.messages == ()


async def test_fake_message_is_changed_by_its_own_webhook_only() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        body = {"content": "one", "embeds": [{"title": "kept"}]}
        posted = await http.post(versioned(fake), params={"wait": "true"}, json=body)
        place = f"/messages/{posted.json()['id']}"
        edited = await http.patch(versioned(fake) + place, json={"content": "two"})
        read = await http.get(versioned(fake) + place)
        stranger = await http.get(versioned(fake, 1) + place)
        removed = await http.delete(versioned(fake) + place)
        gone = await http.patch(versioned(fake) + place, json={"content": "three"})
    assert read.json() == edited.json()
    assert (read.json()["content"], read.json()["embeds"][0]["title"]) == ("two", "kept")
    assert stranger.json()["code"] == gone.json()["code"] == 10008
    assert removed.status_code == 204
    assert [(message.edits, message.deleted) for message in fake.messages] == [(1, True)]
    assert fake.seen() == ()


async def test_fake_checks_an_edit_like_a_message() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        posted = await http.post(versioned(fake), params={"wait": "true"}, json={"content": "one"})
        place = versioned(fake) + f"/messages/{posted.json()['id']}"
        long = await http.patch(place, json={"content": "x" * 2001})
        empty = await http.patch(place, json={"content": None})
    assert (long.json()["code"], empty.json()["code"]) == (50035, 50006)
    assert fake.messages[0].payload["content"] == "one"


async def test_fake_edit_without_allowed_mentions_pings_again() -> None:
    quiet = {"content": "look @everyone", "allowed_mentions": {"parse": []}}
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        posted = await http.post(versioned(fake), params={"wait": "true"}, json=quiet)
        assert posted.json()["mention_everyone"] is False
        place = versioned(fake) + f"/messages/{posted.json()['id']}"
        edited = await http.patch(place, json={"content": "look @everyone again"})
    assert edited.json()["mention_everyone"] is True
    assert fake.seen()[0].mentions.everyone


async def test_fake_keeps_the_content_before_each_edit() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        posted = await http.post(versioned(fake), params={"wait": "true"}, json={"content": "one"})
        for content in ("two", "three"):
            await http.patch(versioned(fake) + f"/messages/{posted.json()['id']}", json={"content": content})
    (message,) = fake.messages
    assert [version["content"] for version in message.versions] == ["one", "two"]
    assert message.payload["content"] == "three"


async def test_fake_deleted_message_is_unknown_and_its_webhook_is_not() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        posted = await http.post(versioned(fake), params={"wait": "true"}, json={"content": "one"})
        fake.delete_message(posted.json()["id"])
        edited = await http.patch(versioned(fake) + f"/messages/{posted.json()['id']}", json={"content": "two"})
        again = await http.post(versioned(fake), params={"wait": "true"}, json={"content": "two"})
        with pytest.raises(LookupError):
            fake.delete_message(posted.json()["id"])
    assert (edited.status_code, edited.json()["code"], again.status_code) == (404, 10008, 200)
    assert [seen.text for seen in fake.seen()] == ["two"]


async def test_fake_edit_in_a_thread_must_name_the_thread() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        thread = {"thread_id": "77", "wait": "true"}
        posted = await http.post(versioned(fake), params=thread, json={"content": "one"})
        place = versioned(fake) + f"/messages/{posted.json()['id']}"
        outside = await http.patch(place, json={"content": "two"})
        inside = await http.patch(place, params={"thread_id": "77"}, json={"content": "two"})
    assert (outside.json()["code"], inside.json()["content"]) == (10008, "two")


async def test_fake_edit_has_its_own_bucket_and_counts_in_the_channel() -> None:
    settings = Settings(webhook_limit=Limit(Model.FIXED, 2, 60.0), channel_limit=Limit(Model.FIXED, 3, 60.0))
    async with serve_fake(settings) as fake, httpx.AsyncClient() as http:
        posted = await http.post(versioned(fake), params={"wait": "true"}, json={"content": "one"})
        place = versioned(fake) + f"/messages/{posted.json()['id']}"
        answers = [await http.patch(place, json={"content": "two"}) for _ in range(2)]
        last = await http.post(versioned(fake), params={"wait": "true"}, json={"content": "three"})
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].headers["X-RateLimit-Bucket"] != posted.headers["X-RateLimit-Bucket"]
    assert (last.status_code, last.headers["X-RateLimit-Scope"]) == (429, "shared")


async def test_embeds_with_one_url_show_only_the_first_of_them() -> None:
    link = "https://example.org/chart"
    embeds = [{"title": "a", "url": link}, {"title": "b", "url": link}, {"title": "c"}, {"title": "d"}]
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        await http.post(versioned(fake), json={"content": "head", "embeds": embeds})
        await http.post(versioned(fake), json={"embeds": embeds, "flags": 4})
        await http.post(versioned(fake, 1), json={"content": "elsewhere"})
        fake.foreign_post(content="noise")
    assert [seen.text for seen in fake.seen()] == ["head", "a", "c", "d", "noise"]
    assert len(fake.messages[0].payload["embeds"]) == 4


async def test_fake_shows_a_thread_apart_from_its_channel() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        await http.post(versioned(fake), params={"thread_id": "77"}, json={"content": "inside"})
        odd = await http.post(versioned(fake), params={"thread_id": "x", "wait": "true"}, json={"content": "y"})
    assert [seen.text for seen in fake.seen("77")] == ["inside"]
    assert fake.seen() == ()
    assert "thread_id" in odd.json()["errors"]


async def test_fake_takes_a_file_up_to_its_limit() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        form = {"payload_json": json.dumps({"content": "see"})}
        small = await http.post(
            versioned(fake), params={"wait": "true"}, data=form, files={"files[0]": ("a.txt", b"12345")}
        )
        large = await http.post(versioned(fake), data=form, files={"files[0]": ("b", bytes(10 * 2**20 + 1))})
    digest = hashlib.sha256(b"12345").hexdigest()
    assert small.json()["attachments"] == [{"id": "0", "filename": "a.txt", "size": 5, "sha256": digest}]
    assert (large.status_code, large.json()["code"]) == (413, 40005)


async def test_fake_limits_all_files_of_a_request_together() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        files = {f"files[{n}]": (f"{n}.bin", bytes(9 * 2**20)) for n in range(3)}
        answer = await http.post(versioned(fake), data={"payload_json": "{}"}, files=files)
    assert answer.status_code == 413


async def test_fake_edit_adds_replaces_or_keeps_files() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        form = {"payload_json": json.dumps({"content": "see"})}
        sent = await http.post(
            versioned(fake), params={"wait": "true"}, data=form, files={"files[0]": ("a.txt", b"12345")}
        )
        place = f"{versioned(fake)}/messages/{sent.json()['id']}"
        kept = await http.patch(place, json={"content": "still there"})
        added = await http.patch(place, data=form, files={"files[0]": ("b.txt", b"6")})
        only = {"payload_json": json.dumps({"attachments": [{"id": 0, "filename": "c.txt"}]})}
        other = await http.patch(place, data=only, files={"files[0]": ("c.txt", b"7")})
    assert [each["filename"] for each in added.json()["attachments"]] == ["a.txt", "b.txt"]
    assert [each["filename"] for each in kept.json()["attachments"]] == ["a.txt"]
    assert [each["filename"] for each in other.json()["attachments"]] == ["c.txt"]


async def test_fake_takes_a_form_in_place_of_json() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        await http.post(versioned(fake), data={"content": "from curl"})
    assert fake.messages[0].payload["content"] == "from curl"


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=b"])
async def test_fake_treats_an_unreadable_body_as_empty(kind: str) -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        answer = await http.post(
            versioned(fake), params={"wait": "true"}, content=b"--b\r\nodd", headers={"Content-Type": kind}
        )
    assert (answer.status_code, answer.json()["code"]) == (400, 50006)


async def test_fake_opens_threads_in_forums_only() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        answer = await http.post(versioned(fake), json={"content": "x", "thread_name": "news"})
    assert (answer.status_code, answer.json()["code"]) == (400, 220003)


async def test_fake_serves_many_requests_on_one_connection() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        for _ in range(5):
            await http.post(versioned(fake), json={"content": "x"})
    assert (fake.counts.requests, fake.counts.connections) == (5, 1)


async def test_ids_grow_and_numbers_have_no_gaps() -> None:
    async with serve_fake(UNLIMITED) as fake, httpx.AsyncClient() as http:
        for _ in range(5):
            await http.post(versioned(fake), json={"content": "x"})
    ids = [int(message.message_id) for message in fake.messages]
    assert ids == sorted(set(ids))
    assert [message.number for message in fake.messages] == [1, 2, 3, 4, 5]


async def test_fake_keeps_the_latest_messages_and_counts_all(tmp_path: Path) -> None:
    settings = Settings(keep=2, log=tmp_path / "log").without_limits()
    async with serve_fake(settings) as fake, httpx.AsyncClient() as http:
        for n in range(4):
            await http.post(versioned(fake), json={"content": str(n)})
    assert [message.payload["content"] for message in fake.messages] == ["2", "3"]
    assert fake.counts.accepted == 4
    written = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["payload"]["content"] for line in written] == ["0", "1", "2", "3"]


async def test_requests_of_one_channel_at_the_same_time_are_noticed() -> None:
    async with serve_fake(Settings(webhooks=2, channels=1)) as fake, httpx.AsyncClient() as http:
        fake.hold()
        async with trio.open_nursery() as nursery:
            for n in range(2):
                nursery.start_soon(lambda url: http.post(url, json={"content": "x"}), versioned(fake, n))
            await fake.until(lambda: fake.counts.held == 2)
            assert fake.messages == ()
            fake.release()
    assert fake.counts.most_in_flight == {fake.webhooks[0].channel_id: 2}
    assert fake.counts.in_flight == fake.counts.held == 0
    assert len(fake.messages) == 2


async def test_fake_keeps_port_webhooks_and_log_over_an_outage() -> None:
    fake = FakeDiscord(UNLIMITED)
    async with httpx.AsyncClient() as http:
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                await nursery.start(fake.serve)
                assert (await http.post(fake.url(0), json={"content": "x"})).status_code == 204
                nursery.cancel_scope.cancel()
            with pytest.raises(httpx.ConnectError):
                await http.post(fake.url(0), json={"content": "x"})
    assert len(fake.messages) == 2
    assert repr(fake) == f"<FakeDiscord on port {fake.port}: 2 webhooks, 2 accepted>"


async def test_fake_webhook_is_named_by_object_id_or_number() -> None:
    fake = FakeDiscord(UNLIMITED)
    second = fake.webhooks[1]
    assert fake.url(second) == fake.url(second.id) == fake.url(1)
    assert fake.add_webhook() == fake.webhook(2)
    with pytest.raises(LookupError):
        fake.url("12345")
