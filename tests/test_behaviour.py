"""Each promise of docs/behaviour.md has its number and its tests, and no subject is missing from the page."""

import ast
import re
from collections import Counter

from tests.test_house import ROOT

SUBJECTS = {
    *(f"C{number}" for number in range(1, 16)), "D2", "D3", "D5", "D9",
    *(f"E{number}" for number in range(1, 6)), "F2", "F6", "H4", "A10", "B8",
}  # fmt: skip


def promises() -> list[tuple[list[str], list[str]]]:
    """The numbers and the tests of each entry, which stand in its last line."""
    page = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
    last_lines = [entry.splitlines()[-1] for entry in re.findall(r"^- .*(?:\n  .*)*", page, re.MULTILINE)]
    return [(re.findall(r"\b[A-I]\d+\b", line), re.findall(r"`(test_\w+)`", line)) for line in last_lines]


def test_each_promise_names_tests_that_exist_once() -> None:
    found = Counter(
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef)
    )
    assert [tests for _, tests in promises() if not tests] == []
    named = {test for _, tests in promises() for test in tests}
    assert {test: found[test] for test in named if found[test] != 1} == {}


def test_each_promise_has_a_number_and_no_subject_is_missing() -> None:
    numbers = [numbers for numbers, _ in promises()]
    assert all(numbers)
    assert SUBJECTS - {number for some in numbers for number in some} == set()
