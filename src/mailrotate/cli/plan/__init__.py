"""`mailrotate plan`: what the workspace allows."""

from mailrotate.cli.lazy import noun

app = noun(
    "What the workspace allows.",
    __name__,
    "show",
    "set",
)
