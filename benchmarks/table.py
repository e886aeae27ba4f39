"""One line of the report, and how lines are made comparable: medians of several turns, taken alternately."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A measured ratio beside what it should be. `aim` reads like "<= 1.3"."""

    what: str
    ours: str
    reference: str
    ratio: float
    aim: str
    notes: Sequence[str] = ()

    @property
    def met(self) -> bool:
        sign, _, bound = self.aim.partition(" ")
        return self.ratio <= float(bound) if sign == "<=" else self.ratio >= float(bound)


def alternately(turns: int, *works: Callable[[], float]) -> list[float]:
    """The median of each work's own figure; they take turns, so that a slow minute hits all of them."""
    figures: list[list[float]] = [[] for _ in works]
    for _ in range(turns):
        for work, found in zip(works, figures, strict=True):
            found.append(work())
    return [statistics.median(found) for found in figures]


def render(lines: Sequence[Line]) -> str:
    """The table as text, each line with its notes below."""
    heads = ("what", "ours", "reference", "ratio", "aim", "met")
    rows = [
        (line.what, line.ours, line.reference, f"{line.ratio:.3f}", line.aim, "yes" if line.met else "NO")
        for line in lines
    ]
    widths = [max(len(row[index]) for row in [heads, *rows]) for index in range(len(heads))]
    out = ["  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip()]
    for row, line in zip(rows, lines, strict=True):
        out.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        out += [f"    {note}" for note in line.notes]
    return "\n".join(out)
