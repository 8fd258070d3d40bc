"""HTTP for programs and people of this host: one listener, one table of routes, one place that decides who may do what.

    listener     the address of the configuration: opens it, moves it at a reload, reports that it cannot be had
    routing      path and method -> handler; every answer that is not a handler's: 403, 401, 404, 405
    access       Host, Origin and tokens; the cookie of a browser
    replies      answers in plain text and JSON
    monitoring   /metrics /healthz /readyz
    intake       from a request into the core: signals, files, stored messages
    webhooks     Discord's webhook API; slack: its route for Slack's format; message_ids, message_objects: what it answers
    page         `/`, for people who look, and what its script asks for; `tocsind.page` makes the data
    send         signals as JSON, and text in ntfy's style
    alertmanager the webhook of Alertmanager and Grafana; receipts: the answers of both
    assembly     makes the table of routes of this daemon

A request passes, in this order: the bounds of `http_server`, Host and Origin (403), the path (404, 405), the token (401), the bound of the
route's body (413), the handler. Nothing logs a request line: it may carry a token.

What is stored goes one of two ways (`intake`). An answer that says something about the signal (a receipt, a message object, an edit) comes
from the journal, after its commit. A 204 says only that the message is on disk: it comes after one sync of the daemon's own outbox
(`tocsind.spool`), and the importer commits the message later. A request that goes to the journal waits until the messages before it are
there, which keeps the order. To the journal go also files, requests of other users on a Unix socket, whose uid an outbox cannot name, and
everything while the importer takes nothing.

A request that stores something is finished and answered also while the daemon stops: without its answer the client would send it again.

Without `[http] listen` nothing listens, and without a token only the three paths of `monitoring` answer.
"""

from .assembly import make_router
from .intake import Intake
from .listener import HttpListener

__all__ = ["HttpListener", "Intake", "make_router"]
