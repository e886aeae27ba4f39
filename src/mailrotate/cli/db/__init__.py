"""`mailrotate db`: check, back up, restore, adopt and upgrade the database."""

from mailrotate.cli.lazy import noun

app = noun(
    "Check, back up, restore, adopt and upgrade the database.",
    __name__,
    "upgrade",
    "check",
    "backup",
    "restore",
    "adopt",
    "stats",
)
