"""What the texts of a campaign need of a recipient: one answer for import, edit, preview and check (D1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mailrotate.core.rules.templates import (
    MissingField,
    fields_needed,
    has_words,
    letter_fields,
    merge,
    merge_subject,
    missing_fields,
    names_of,
    only_places,
)
from mailrotate.core.values.letter import LETTER_FIELDS, LONGEST_SUBJECT, LONGEST_TEXT, UnfitLetter

# As long as a sender's name and address may be: what fits with these fits with any.
_ANY_SENDER = ("N" * 100, "a" * 64 + "@" + "d" * 189)
_LONGEST_OWN = 254
# `ŉ | upper` has three characters: no other filter of templates makes a text longer.
_GROWTH = 3


@dataclass(frozen=True)
class TextNeeds:
    """The subject (None: that of the thread) and body of each step."""

    steps: tuple[tuple[str | None, str], ...]

    @classmethod
    def of(cls, steps: Iterable[tuple[str | None, str]]) -> "TextNeeds":
        return cls(tuple(steps))

    @cached_property
    def fields(self) -> frozenset[str]:
        """The fields that a recipient needs, however the conditions in the texts turn out.

        Raises UnfitLetter for a text that the check refuses.
        """
        return fields_needed(*self._texts)

    @cached_property
    def uses(self) -> frozenset[str]:
        """The fields that the texts name, needed or not. Raises as `fields`."""
        return frozenset(name for text in self._texts for name in names_of(text)) - LETTER_FIELDS

    @cached_property
    def longest_plain_value(self) -> int:
        """Up to this many characters in each value, a recipient who has the fields needs no `problem`.

        -1 where a condition or a filter can fail on some value.
        """
        if not all(map(only_places, self._texts)):
            return -1
        return min((_room(text, is_subject) for text, is_subject in self._kinds), default=LONGEST_TEXT)

    def problem(self, email: str, fields: Mapping[str, str]) -> str | None:
        """Say why a message could not be written to this recipient; None if each of them can."""
        missing = missing_fields(self.fields, fields)
        if missing and (self.longest_plain_value >= 0 or self._asks_for_sender):
            return _lacks(missing)
        own = letter_fields(email, *_ANY_SENDER)
        try:
            for subject, body in self.steps:
                if subject is not None:
                    merge_subject(subject, {**fields, **own})
                merge(body, {**fields, **own})
        except MissingField as hole:
            return _lacks([hole.name])
        except UnfitLetter as unfit:
            return f"cannot be written to: {unfit}"
        return None

    @property
    def _kinds(self) -> list[tuple[str, bool]]:
        subjects = [(subject, True) for subject, _ in self.steps if subject is not None]
        return [*subjects, *((body, False) for _, body in self.steps)]

    @property
    def _texts(self) -> list[str]:
        return [text for text, _ in self._kinds]

    @cached_property
    def _asks_for_sender(self) -> bool:
        # Who sends is not known yet, so no condition on it is.
        asked = {name for text in self._texts if not only_places(text) for name in names_of(text)}
        return bool(asked & (LETTER_FIELDS - {"email"}))


def _room(text: str, is_subject: bool) -> int:
    """How long each value may be for the text to have room for all of them."""
    names = names_of(text)
    own = sum(name in LETTER_FIELDS for name in names)
    growth = _GROWTH if "|" in text else 1
    limit = LONGEST_SUBJECT if is_subject else LONGEST_TEXT
    if is_subject and not (fields_needed(text) or own or has_words(text)):
        return -1  # it may turn out blank
    free = limit - len(text) - own * growth * _LONGEST_OWN
    return max(free, 0) // (growth * max(len(names) - own, 1))


def _lacks(names: list[str]) -> str:
    return f"has no {', '.join(names)}, which the text needs"
