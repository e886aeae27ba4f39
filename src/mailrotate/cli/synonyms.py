"""Words that newcomers type, and the commands and options that they mean."""

from collections.abc import Collection

# For any noun: a word and the verbs it may mean. Only verbs of that noun are suggested.
VERBS = {
    "add": ("connect", "create"),
    "change": ("set", "edit"),
    "configure": ("set",),
    "copy": ("create",),
    "create": ("add", "connect"),
    "del": ("remove", "delete"),
    "delete": ("remove",),
    "disable": ("pause", "lock"),
    "edit": ("set",),
    "enable": ("resume", "unlock"),
    "end": ("stop",),
    "get": ("show",),
    "info": ("show",),
    "invite": ("add",),
    "launch": ("start",),
    "list": ("show",),
    "login": ("connect",),
    "logout": ("disconnect",),
    "ls": ("list",),
    "new": ("create", "add", "connect"),
    "remove": ("delete",),
    "rm": ("remove", "delete"),
    "run": ("start",),
    "send": ("start",),
    "start": ("resume", "unlock"),
    "stop": ("pause", "lock", "cancel"),
    "suspend": ("pause", "lock"),
    "update": ("set", "edit"),
    "verify": ("test", "check"),
    "view": ("show",),
}
# In place of a noun: a word and the commands it may mean.
COMMANDS = {
    "account": ("mailbox",),
    "blocklist": ("suppression",),
    "config": ("settings",),
    "doctor": ("status",),
    "events": ("log",),
    "login": ("mailbox connect",),
    "logout": ("mailbox disconnect",),
    "messages": ("outbox",),
    "people": ("contact", "recipient"),
    "queue": ("outbox",),
    "schedule": ("campaign start",),
    "seat": ("slot", "user"),
    "send": ("run",),
    "sequence": ("campaign",),
    "serve": ("run",),
    "team": ("user",),
    "unsubscribe": ("suppression add",),
    "version": ("--version",),
}
OPTIONS = {
    "--database": ("--db",),
    "--dry": ("--dry-run",),
    "--force": ("--yes",),
    "--format": ("--json",),
    "--output": ("--json",),
    "--user": ("--as", "--for"),
    "--verbose": ("--debug",),
    "-f": ("--force", "--yes"),
    "-j": ("--json",),
    "-n": ("--dry-run", "--limit"),
    "-o": ("--json",),
    "-u": ("--user", "--as"),
    "-v": ("--debug",),
}


def verbs_meant(word: str, verbs: Collection[str]) -> list[str]:
    """List the verbs of a noun that a word may mean."""
    return [verb for verb in VERBS.get(word, ()) if verb in verbs]


def commands_meant(word: str) -> list[str]:
    """List the commands that a word in place of a noun may mean."""
    return list(COMMANDS.get(word, ()))


def options_meant(word: str, options: Collection[str]) -> list[str]:
    """List the options of a command that a word may mean; `-json` means `--json`."""
    name = word.partition("=")[0]
    wanted = (f"-{name}", *OPTIONS.get(name, ()))
    return [option for option in wanted if option in options]
