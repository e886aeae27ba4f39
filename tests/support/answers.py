"""The published answers of many mail systems, as tests read them."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

_FILE = Path(__file__).parents[1] / "unit" / "rules" / "answers.toml"
_ADDRESS = re.compile(r"[^\s<>()\[\]]+@[^\s<>()\[\]]+")
_HOST = re.compile(r"\b(?:[\w-]+\.)+[a-z]{2,}\b", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What a system answers in a phase, and the class that it means; the text is as a log shows it."""

    system: str
    reply_class: str
    phase: str
    source: str
    text: str

    @property
    def on_one_line(self) -> str:
        """As our SMTP session reads it: one code, and the words of all lines behind it."""
        first, *others = self.text.split("\n")
        return " ".join(
            [first.replace("-", " ", 1) if first[3:4] == "-" else first, *(o[4:] for o in others)]
        )

    @property
    def masked(self) -> str:
        """The answer without what differs from one message to the next."""
        text = _HOST.sub("HOST", _ADDRESS.sub("ADDRESS", self.text))
        return " ".join(re.sub(r"\d+", "0", text).casefold().split())


@cache
def published(table: str = "answers") -> tuple[Answer, ...]:
    """Every answer of a table of `answers.toml`, with the address of its source."""
    data = tomllib.loads(_FILE.read_text("utf-8"))
    return tuple(
        Answer(system, reply_class, phase, data["sources"][source], text)
        for system, rows in data[table].items()
        for reply_class, phase, source, text in rows
    )


def systems() -> dict[str, tuple[Answer, ...]]:
    """The answers of each system."""
    return {system: tuple(answers) for system, answers in groupby(published(), lambda answer: answer.system)}
