"""`mailrotate recipient`: who a campaign writes to."""

from mailrotate.cli.lazy import noun

app = noun(
    "Manage the recipients of campaigns.",
    __name__,
    "import_",
    "add",
    "list",
    "show",
    "remove",
    "assign",
)
