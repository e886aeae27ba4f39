"""`mailrotate plan`: what the workspace allows."""

from mailrotate.cli.lazy import noun

app = noun(
    "Show or change what the workspace allows.",
    __name__,
    "show",
    "set",
)
