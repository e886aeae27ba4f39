"""`mailrotate webhook`: endpoints of other programs that are told about events."""

from mailrotate.cli.lazy import noun

app = noun(
    "Tell other programs about events, with signed HTTP posts.",
    __name__,
    "add",
    "list",
    "remove",
    "test",
    "resend",
    "rotate",
)
