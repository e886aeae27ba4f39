"""`mailrotate slot`: how many mailboxes each user may connect, and the team's pool."""

from mailrotate.cli.lazy import noun

app = noun(
    "Manage how many mailboxes each user may connect.",
    __name__,
    "list",
    "buy",
    "assign",
    "assign.add",
    "unassign",
    "remove",
)
