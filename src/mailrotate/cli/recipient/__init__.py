"""`mailrotate recipient`: who a campaign writes to."""

from mailrotate.cli.lazy import noun

app = noun(
    "Who a campaign writes to.",
    __name__,
    "import_",
    "add",
    "list",
    "show",
    "remove",
    "assign",
)
