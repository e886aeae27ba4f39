"""`mailrotate mailbox`: connect mailboxes, test them, set them up."""

from mailrotate.cli.lazy import noun

app = noun(
    "Connect, test and set up mailboxes.",
    __name__,
    "connect",
    "list",
    "show",
    "switch.default",
    "switch.pause",
    "switch.resume",
    "switch.release",
    "set",
    "requests.request",
    "requests.requests",
    "requests.approve",
    "requests.deny",
    "requests.withdraw",
    "crm",
    "reconnect",
    "disconnect",
    "test",
    "remove",
    "alias",
    "share",
    "signature",
)
