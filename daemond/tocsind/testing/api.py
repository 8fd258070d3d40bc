"""The checks that a request to a webhook passes: one request in, one answer out, nothing awaited in between.

Their order decides what is counted:

    Cloudflare: user agent, ban -> the script -> address limit -> webhook and token -> webhook limit
    -> the route's work (is it a message? -> hidden channel limit -> saved) -> the script again
"""

from __future__ import annotations

from typing import Any

import msgspec

from tocsind.discord_api import errors
from tocsind.discord_api.bodies import Body, read_body
from tocsind.http_server import Reply
from tocsind.testing import answers
from tocsind.testing.answers import Scope
from tocsind.testing.behaviour import Asked
from tocsind.testing.counts import is_invalid
from tocsind.testing.guild import Guild
from tocsind.testing.limits import Verdict
from tocsind.testing.routes import ROUTES, Call, Work
from tocsind.testing.script import Script
from tocsind.testing.webhooks import Webhook


class Answer(msgspec.Struct, frozen=True):
    """A reply, and how many seconds it shall be kept back."""

    reply: Reply
    delay: float = 0.0


class Api:
    """Answers for webhooks; every effect is in the guild and the script it was given."""

    def __init__(self, guild: Guild, script: Script) -> None:
        self._guild = guild
        self._script = script

    def answer(self, call: Call) -> Answer:
        """Answer one request, completely."""
        self._guild.advance(call.at)
        if call.route.webhook_id in self._guild.deleted:
            self._guild.tally.after_deletion[call.route.webhook_id] += 1
        answer = self._scripted(call)
        self._guild.tally.answered(answer.reply)
        if is_invalid(answer.reply):
            self._guild.quotas.count_invalid(call.at.steady)
        return answer

    def _scripted(self, call: Call) -> Answer:
        if blocked := self._cloudflare(call):
            return Answer(blocked)
        asked = self._asked(call)
        line = self._script.next_for(asked)
        if line is None:
            return Answer(self._processed(call))
        if line.replaces:
            self._script.use(line)
            return Answer(line.instead(asked), line.delay)
        reply = self._processed(call)
        if line.needs_saving and not reply.status < 300:
            return Answer(reply)
        self._script.use(line)
        return Answer(line.after(reply), line.delay)

    def _asked(self, call: Call) -> Asked:
        known = self._guild.living(call.route.webhook_id) is not None
        headers = self._guild.quotas.rate_headers(call.route.webhook_id, call.kind, call.at) if known else {}
        message = _message_in(call) if self._script.lines else None
        return Asked(call.route.webhook_id, call.request.method, call.route.version, headers, message)

    def _cloudflare(self, call: Call) -> Reply | None:
        agent = call.request.headers.get("user-agent", "").strip()
        if not agent or agent.startswith("Python-urllib"):
            return answers.bad_user_agent()
        ban = self._guild.quotas.ban(call.at.steady)
        return None if ban.passes else self._limited(call, Scope.CLOUDFLARE, ban)

    def _processed(self, call: Call) -> Reply:
        address = self._guild.quotas.take_ip(call.at.steady)
        if not address.passes:
            return self._limited(call, Scope.GLOBAL, address)
        if not call.route.is_known_version:
            return errors.invalid_version()
        webhook = self._guild.living(call.route.webhook_id)
        if webhook is None:
            return errors.unknown_webhook()
        if webhook.token != call.route.token:
            return errors.invalid_token()
        work = ROUTES.get(call.kind)
        return self._within_bucket(call, webhook, work) if work else errors.plain_error(405)

    def _within_bucket(self, call: Call, webhook: Webhook, work: Work) -> Reply:
        verdict = self._guild.quotas.take_webhook(webhook.id, call.kind, call.at.steady)
        if not verdict.passes:
            return self._limited(call, Scope.USER, verdict, verdict)
        headers = self._guild.quotas.rate_headers(webhook.id, call.kind, call.at, verdict)
        reply = work(self._guild, call, webhook)
        return msgspec.structs.replace(reply, headers={**headers, **reply.headers})

    def _limited(self, call: Call, scope: Scope, verdict: Verdict, bucket: Verdict | None = None) -> Reply:
        headers = self._guild.quotas.rate_headers(call.route.webhook_id, call.kind, call.at, bucket) if bucket else {}
        return answers.limited(scope, verdict.reset_after, call.route.version, headers)


def _message_in(call: Call) -> Any:
    body = read_body(call.request) if call.request.body else None
    return body.value if isinstance(body, Body) else None
