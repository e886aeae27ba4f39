"""`mailrotate recipient`: the recipients of a campaign."""

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
