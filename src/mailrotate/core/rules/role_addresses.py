"""Recognise addresses of roles and groups, and addresses that match their user's name (A8).

The names are `role_addresses.toml`, dated and with their sources.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

_SEPARATORS = re.compile(r"[._-]+")
_NO_LETTERS = re.compile(r"[^a-z]+")
# Titles and particles, which do not identify a person.
_PARTICLES = frozenset(
    (
        "al",
        "bin",
        "da",
        "de",
        "del",
        "den",
        "der",
        "di",
        "dos",
        "dr",
        "du",
        "el",
        "ibn",
        "la",
        "le",
        "mr",
        "mrs",
        "ms",
        "of",
        "prof",
        "the",
        "van",
        "von",
        "y",
        "zu",
    )
)
# What no decomposition (NFKD) turns into ASCII, and how German and Scandinavian names are written without
# their accents.
_PLAIN = str.maketrans({"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "ß": "ss"})
# So few letters of a word may also stand within another word by chance.
_TELLING = 4


@cache
def _known() -> tuple[frozenset[str], tuple[str, ...]]:
    """The role names, and the endings that make any name one."""
    text = (files("mailrotate.core.rules") / "role_addresses.toml").read_text(encoding="utf-8")
    groups = tomllib.loads(text)["groups"]
    names = frozenset(name for group in groups for name in group["names"])
    return names, tuple(ending for group in groups for ending in group.get("endings", ()))


def is_role_address(address: str) -> bool:
    """Whether the whole part before the @ is a role's name, or several of them.

    What follows a plus sign does not count, nor do dots, hyphens and underscores: `no-reply`, `in.fo`,
    `sales+eu` and `sales-team` are. A role within a person's name is none: `sam.sales`, `hello.kitty`.
    """
    return _is_role(address.rpartition("@")[0].lower())


def _is_role(local: str) -> bool:
    names, endings = _known()
    base = local.partition("+")[0]
    pieces = [piece for piece in _SEPARATORS.split(base) if piece]
    return (
        "".join(pieces) in names
        or (bool(pieces) and all(piece in names for piece in pieces))
        or any(base.endswith(ending) and base != ending for ending in endings)
    )


def shows_its_user(address: str, user_name: str, user_address: str) -> bool:
    """Whether an address matches its user's name or own address.

    A first name or surname, the beginning of one (`ben` of Benjamin), initials with a surname, or all
    initials; of the user's name, with and without its accents, or as the user's own address has it. A user
    whose name cannot be written in Latin letters is known by the address alone.
    """
    local = address.rpartition("@")[0].lower().partition("+")[0]
    own = user_address.rpartition("@")[0].lower().partition("+")[0]
    if local == own:
        return True
    pieces = [piece for piece in _NO_LETTERS.split(local) if piece]
    # A user named after a role (such as "Sales") matches nothing.
    names = [name for name in (user_name.lower(), own) if not _is_role(name)]
    return any(_shows(pieces, words) for name in names for words in _spellings(name))


def _spellings(name: str) -> Iterator[list[str]]:
    """The words of a name in ASCII, in every common spelling of its accents."""
    text = re.sub(r"['’`]", "", unicodedata.normalize("NFC", name))
    for spelt in (text, text.translate(_SPELT_OUT)):
        bare = unicodedata.normalize("NFKD", spelt.translate(_PLAIN))
        ascii_only = "".join(letter for letter in bare if not unicodedata.combining(letter))
        yield [word for word in _NO_LETTERS.split(ascii_only) if word]


def _shows(pieces: Sequence[str], words: Sequence[str]) -> bool:
    joined = "".join(pieces)
    telling = [word for word in words if word not in _PARTICLES]
    return (
        joined in _initials(words) | _initials(telling)
        or any(piece in telling for piece in pieces if len(piece) > 1)
        or any(_is_within(word, joined) for word in telling)
        or any(word.startswith(piece) for piece in pieces if len(piece) > 2 for word in telling)
        or (len(telling) > 1 and _is_initial_and_surname(joined, telling[0], telling[-1]))
    )


def _initials(words: Sequence[str]) -> set[str]:
    """The initials in both orders; a single letter does not count."""
    letters = "".join(word[0] for word in words)
    return {letters, letters[-1:] + letters[:-1]} if len(letters) > 1 else set()


def _is_within(word: str, joined: str) -> bool:
    if len(word) >= _TELLING:
        return word in joined
    return len(word) == _TELLING - 1 and (joined.startswith(word) or joined.endswith(word))


def _is_initial_and_surname(joined: str, first: str, last: str) -> bool:
    """`jsmith`, and `jsmit` where names are cut; `smithj`; also with a surname of two letters."""
    for initial, rest in ((joined[:1], joined[1:]), (joined[-1:], joined[:-1])):
        if initial == first[0] and (rest == last or (len(rest) >= _TELLING - 1 and last.startswith(rest))):
            return True
    return False
