"""Mistakes that a person makes with each kind: the message names file, line and key, says what is right, and shows no secret."""

from __future__ import annotations

import pytest

from tocsind.config import ConfigurationInvalid, parse

TOKEN = "123456789:" + "A" * 35
HOOK = "https://hooks.slack.com/services/T0/B0/xxxxxxxxxxxxxxx"
WEBHOOK = "https://discord.com/api/webhooks/123/abcDEF_tok"
TELEGRAM = 'kind = "telegram"\nbot-token = { env = "IT" }\nchat-id = %s\n'


@pytest.mark.parametrize(
    ("table", "value", "line", "key", "said"),
    [
        (TELEGRAM % "1001234567890", TOKEN, 4, "chat-id", "no minus"),
        (TELEGRAM % '"https://t.me/mine"', TOKEN, 4, "chat-id", '"@channel"'),
        (TELEGRAM % "-1001234567890", f"bot{TOKEN}", 3, "bot-token", "something around the bot token"),
        (TELEGRAM % "-1001234567890", f'"{TOKEN}"', 3, "bot-token", "something around the bot token"),
        (
            TELEGRAM % "-1001234567890",
            f"https://api.telegram.org/bot{TOKEN}/x",
            3,
            "bot-token",
            "something around the bot token",
        ),
        (
            TELEGRAM % "-1001234567890" + 'api-url = "https://api.telegram.org/bot"',
            TOKEN,
            5,
            "api-url",
            "ends before /bot",
        ),
        ('kind = "telegram"\ntoken = { env = "IT" }\nchat-id = 5', TOKEN, 3, "token", 'did you mean "bot-token"?'),
        ('kind = "ntfy"\ntopic = "my topic"', "", 3, "topic", "digits, dashes and underscores"),
        ('kind = "ntfy"\ntopic = { env = "IT" }', "https://ntfy.sh/secret-topic", 3, "topic", "is `server`"),
        ('kind = "ntfy"\nserver = "https://ntfy.sh/alerts"\ntopic = "x"', "", 3, "server", "the topic is a key of its own"),
        ('kind = "ntfy"\nserver = "ntfy.sh"\ntopic = "x"', "", 3, "server", "https:// and the name of a host"),
        ('kind = "ntfy"\ntopic = "x"\npriority = 5', "", 4, "priority", "a table by priority, like { urgent = ... }"),
        ('kind = "slack"\nwebhook = { env = "IT" }', WEBHOOK, 3, "webhook", 'kind = "discord"'),
        ('kind = "slack"\nwebhook = { env = "IT" }', "xoxb-123-abcdefghij", 3, "webhook", "https://hooks.slack.com/services/"),
        ('kind = "slack"\nbot-token = { env = "IT" }\nchannel = "#a"', HOOK, 3, "bot-token", "it begins with xoxb-"),
        ('kind = "slack"\nbot-token = { env = "IT" }\nchannel = "a"', "xoxb-123-abcdefghij", 4, "channel", '"#alerts"'),
        ('kind = "webhook"\nurl = { env = "IT" }', WEBHOOK, 3, "url", 'kind = "discord"'),
        ('kind = "webhook"\nurl = { env = "IT" }', HOOK, 3, "url", 'kind = "slack"'),
        ('kind = "webhook"\nurl = { env = "IT" }', "https://ntfy.sh/secret-topic", 3, "url", 'kind = "ntfy"'),
        ('kind = "webhook"\nurl = "https://x.example"\nsecret = { env = "IT" }', "s3cret", 4, "secret", "openssl rand"),
        ('kind = "teams"', "", 2, "kind", 'kind = "apprise"'),
        ('kind = "smtp"', "", 2, "kind", 'did you mean "email"?'),
        ('kind = "email"\nto = "a@x.example, b@x.example"', "", 3, "to", "write a list"),
        ('kind = "discord"\nwebhook = { env = "IT" }', HOOK, 3, "webhook", 'kind = "slack"'),
    ],
)  # fmt: skip
def test_mistake_has_one_message_with_its_place(  # noqa: PLR0917 - parameters by name
    table: str, value: str, line: int, key: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IT", value)
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(f'[destinations.d]\n{table}\n[[routes]]\nto = ["d"]\n', "alerts.toml")
    (problem,) = [each for each in caught.value.problems if each.key == f"destinations.d.{key}"]
    assert (problem.place, said in problem.message) == (f"alerts.toml:{line}", True), problem
    assert not value or value not in str(caught.value)


def test_port_of_implicit_tls_with_starttls_is_a_warning() -> None:
    table = (
        'kind = "email"\nsmarthost = "smtp.x.example:465"\ntls = "starttls"\nfrom = "a@x.example"\nto = ["b@x.example"]'
    )
    (warning,) = parse(f'[destinations.d]\n{table}\n[[routes]]\nto = ["d"]\n', "alerts.toml").warnings
    assert warning.startswith("alerts.toml:4: destinations.d.tls: port 465 speaks TLS from the start")
