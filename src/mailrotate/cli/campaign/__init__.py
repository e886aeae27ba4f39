"""`mailrotate campaign`: from a file to a campaign that runs."""

from mailrotate.cli.lazy import noun

app = noun(
    "Create, start, pause and stop campaigns.",
    __name__,
    "check",
    "create",
    "edit",
    "copy",
    "delete",
    "list",
    "show",
    "preview",
    "test",
    "start",
    "pause",
    "resume",
    "stop",
    "sender",
)
