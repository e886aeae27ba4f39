"""`mailrotate outbox`: what is to be sent, was sent, or failed."""

from mailrotate.cli.lazy import noun

app = noun(
    "Show and manage messages: waiting, sent and failed.",
    __name__,
    "list",
    "show",
    "retry",
    "cancel",
    "release",
    "send_from",
    "resolve",
    "classify_reply",
)
