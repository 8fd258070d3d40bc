"""Cards as Discord messages, within every limit of Discord's, which are applied by cutting.

A message is one line of `content` for each alert that is to be read on a lock screen, and an embed for each. Embeds show nothing in a push
notification, and nothing at all to a reader who has switched them off; so the line says what happened, and its embed does not repeat it. An
alert without a line has its title in its embed.

    limits       what a message may hold
    markup       escaping and cutting
    code         output of programs
    markdown     bodies in Markdown
    stamps       times that each reader sees in his zone
    line         the line of content, and who is mentioned
    embed        a card as an embed
    plain        the same after a rejection: text only
    history      earlier states of a live message
    message      deliveries as one message, and how much of it each needs
    raw          messages that a program wrote for Discord itself
    attachments  the files of a message
    lint         how close a message comes to the limits, and what readers will not see
"""

from . import raw
from .line import Notify
from .lint import limit_usage, warnings_for
from .message import living_message, message, size

__all__ = ["Notify", "limit_usage", "living_message", "message", "raw", "size", "warnings_for"]
