"""`mailrotate grace`: how long mailboxes that are away may come back without loss."""

from mailrotate.cli.lazy import noun

app = noun(
    "Show and extend the deadlines of mailboxes that are away.",
    __name__,
    "list",
    "extend",
)
