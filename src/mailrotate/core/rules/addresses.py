"""Addresses and domains as people write them in files and on the command line."""

import re

from mailrotate.core.rules.text import clean_value
from mailrotate.core.values.address import domain_of, normalise_address
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import SuppressionKind

# `@example.com`, `*@example.com` and `*.example.com` mean everybody at a domain, in lists of other programs
# too; `%` is their database's word for `*`. Nobody has an address at `www.example.com`, which is a web site.
_EVERYBODY_AT = re.compile(r"(?:[*%]?@)?(?:\*?\.)?(?:www\.(?=[^.]+\.))?", re.IGNORECASE)
_WILDCARD = re.compile(r"\*|\A%|%\Z")
# A comment begins at the start of a line or after white space: `kim#1@example.com` is an address.
_COMMENT = re.compile(r"(?:\A|(?<=\s))#.*", re.DOTALL)


def read_address(written: str) -> str:
    """Return the normalised address in a cell or an argument. Raises BadInput (`address.invalid`).

    A leading apostrophe is removed: spreadsheets keep a cell as text with it, and no address begins with one.
    """
    return normalise_address(_without_apostrophes(written))


def read_domain(written: str) -> str:
    """Return a domain as it is compared: lower case, IDN in ASCII. Raises BadInput (`domain.invalid`)."""
    name = _without_apostrophes(written)
    bare = name[_prefix_length(name) :]
    try:
        if not bare or "@" in bare:
            raise BadInput("domain.invalid", "")
        return domain_of(normalise_address(f"someone@{bare}"))
    except BadInput:
        raise BadInput(
            "domain.invalid", f"'{name[:80]}' is not a domain", "write it like example.com"
        ) from None


def read_suppressed(written: str) -> tuple[SuppressionKind, str]:
    """Return what a suppression names: an address, or a domain (also as `@…`, `*@…` or `*.…`), normalised.

    Raises BadInput (`address.invalid`, `domain.invalid`).
    """
    name = _without_apostrophes(written)
    if "@" in name[_prefix_length(name) :] and not _WILDCARD.search(name.rpartition("@")[0]):
        return SuppressionKind.ADDRESS, normalise_address(name)
    try:
        return SuppressionKind.DOMAIN, read_domain(name)
    except BadInput:
        raise BadInput(
            "domain.invalid",
            f"'{name[:80]}' is neither an address nor a domain",
            Hint(Command("suppression", "add", "kim@example.com"), "(or example.com, for the whole domain)"),
        ) from None


def without_comment(line: str) -> str:
    """Return a line of a suppression list without the comment at its end."""
    return _COMMENT.sub("", line).strip()


def as_line(value: str) -> str:
    """Return a suppressed value as a line that `without_comment` and `read_suppressed` read back."""
    return f"'{value}" if value.startswith("#") else value


def _without_apostrophes(written: str) -> str:
    return clean_value(written).strip("'").strip()


def _prefix_length(name: str) -> int:
    found = _EVERYBODY_AT.match(name)
    return 0 if found is None else found.end()
