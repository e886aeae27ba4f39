"""One line of the report, and how lines are made comparable: medians of several turns, taken alternately."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MET = {None: "-", True: "yes", False: "NO"}


@dataclass(frozen=True)
class Line:
    """A measured ratio beside what it should be. `aim` reads like "<= 1.3"; None where there is none."""

    what: str
    ours: str
    reference: str
    ratio: float
    aim: str | None = None
    notes: Sequence[str] = ()

    @property
    def met(self) -> bool | None:
        if self.aim is None:
            return None
        sign, _, bound = self.aim.partition(" ")
        return self.ratio <= float(bound) if sign == "<=" else self.ratio >= float(bound)


@dataclass(frozen=True)
class Skipped:
    """What was not measured on this machine, and why not."""

    what: str
    why: str


def alternately(turns: int, *works: Callable[[], float]) -> list[float]:
    """The median of each work's own figure; they take turns, so that a slow minute hits all of them."""
    figures: list[list[float]] = [[] for _ in works]
    for _ in range(turns):
        for work, found in zip(works, figures, strict=True):
            found.append(work())
    return [statistics.median(found) for found in figures]


def render(measured: Sequence[Line | Skipped]) -> str:
    """The table as text, each line with its notes below, and what was skipped at the end."""
    lines = [line for line in measured if isinstance(line, Line)]
    heads = ("what", "ours", "reference", "ratio", "aim", "met")
    rows = [
        (line.what, line.ours, line.reference, f"{line.ratio:.3f}", line.aim or "-", _MET[line.met])
        for line in lines
    ]
    widths = [max(len(row[index]) for row in [heads, *rows]) for index in range(len(heads))]
    out = ["  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip()]
    for row, line in zip(rows, lines, strict=True):
        out.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        out += [f"    {note}" for note in line.notes]
    skipped = [one for one in measured if isinstance(one, Skipped)]
    return "\n".join([*out, *(f"SKIPPED {one.what}: {one.why}" for one in skipped)])
