"""The fakes by kind. Each keeps the limits of its service as they are documented, and makes the service's mistakes on demand."""

from __future__ import annotations

from typing import Final

from tocsind.testing.kinds.apprise import AppriseService
from tocsind.testing.kinds.email import EmailService
from tocsind.testing.kinds.exec import ExecService
from tocsind.testing.kinds.ntfy import NtfyService
from tocsind.testing.kinds.slack import SlackBotService, SlackWebhookService
from tocsind.testing.kinds.telegram import TelegramService
from tocsind.testing.kinds.webhook import WebhookService
from tocsind.testing.service import FakeService

SERVICES: Final[dict[str, type[FakeService]]] = {
    "apprise": AppriseService,
    "email": EmailService,
    "exec": ExecService,
    "ntfy": NtfyService,
    "slack": SlackBotService,
    "slack-webhook": SlackWebhookService,
    "telegram": TelegramService,
    "webhook": WebhookService,
}
