"""`mailrotate suppression`: who must never be written to again."""

from mailrotate.cli.lazy import noun

app = noun(
    "Manage addresses that must never be written to again.",
    __name__,
    "list",
    "add",
    "remove",
    "import_",
    "export",
)
