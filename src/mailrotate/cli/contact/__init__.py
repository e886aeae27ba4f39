"""`mailrotate contact`: the people of the workspace, their tags and their timelines."""

from mailrotate.cli.lazy import noun

app = noun(
    "Manage contacts, their tags and timelines.",
    __name__,
    "list",
    "show",
    "tag",
    "set",
)
