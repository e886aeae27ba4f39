"""`mailrotate user`: the seats of a team, and what each role may do."""

from mailrotate.cli.lazy import noun

app = noun(
    "Manage the users of a team and their roles.",
    __name__,
    "add",
    "list",
    "show",
    "set",
    "lock",
    "unlock",
    "remove",
    "roles",
)
