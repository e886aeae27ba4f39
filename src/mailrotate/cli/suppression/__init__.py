"""`mailrotate suppression`: addresses and domains that never get mail again."""

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
