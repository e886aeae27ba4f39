"""`mailrotate contact`: the people of the workspace, their tags and their timelines."""

from mailrotate.cli.lazy import noun

app = noun(
    "The people of the workspace, their tags and their timelines.",
    __name__,
    "list",
    "show",
    "tag",
    "set",
)
