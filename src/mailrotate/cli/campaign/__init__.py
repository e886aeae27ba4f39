"""`mailrotate campaign`: from a file to a campaign that runs."""

from mailrotate.cli.lazy import noun

app = noun(
    "Create campaigns, start, pause and stop them.",
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
)
