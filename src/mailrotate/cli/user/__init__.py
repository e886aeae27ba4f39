"""`mailrotate user`: the seats of a team, and what each role may do."""

from mailrotate.cli.lazy import noun

app = noun(
    "The seats of a team, and what each role may do.",
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
