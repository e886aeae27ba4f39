"""D8, I3: recipients' files in every dialect, hostile ones included, line by line."""

import csv
import io
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.adapters.csv_rows import LONGEST_CELL, BadRow, CsvRows, open_rows
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Hint, Shell

Row = tuple[int, list[str]] | BadRow


def rows_of(content: str | bytes) -> CsvRows:
    return open_rows(io.BytesIO(content.encode() if isinstance(content, str) else content))


def read(content: str | bytes) -> list[Row]:
    return list(rows_of(content))


def refusal_of(content: str | bytes) -> BadInput:
    with pytest.raises(BadInput) as refusal:
        rows_of(content)
    return refusal.value


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_each_delimiter_line_end_and_bom_is_read_alike(delimiter: str, end: str, bom: bytes) -> None:
    lines = ["email|name|note", "a@example.org|Jürg|x", 'b@example.org|"say ""hi"""|"1|2"']
    content = end.join(line.replace("|", delimiter) for line in lines)
    for ending in ("", end):
        rows = rows_of(bom + (content + ending).encode())
        assert (rows.columns, rows.delimiter) == (("email", "name", "note"), delimiter)
        assert list(rows) == [
            (2, ["a@example.org", "Jürg", "x"]),
            (3, ["b@example.org", 'say "hi"', f"1{delimiter}2"]),
        ]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(
    st.lists(st.tuples(cells, cells, cells), max_size=12),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_whatever_a_writer_writes_is_read_with_its_lines(
    table: list[tuple[str, str, str]], delimiter: str, end: str, all_quoted: bool
) -> None:
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["email", "a", "b"])
    expected: list[Row] = []
    for row in table:
        line = sum(1 for _ in io.StringIO(text.getvalue(), newline="")) + 1
        # A writer on Python 3.11 quotes only the newlines that it writes itself.
        written = [cell.replace("\r", "").replace("\n", end) for cell in row]
        writer.writerow(written)
        if any(cell.strip() for cell in written):
            expected.append((line, written))
    assert read(text.getvalue()) == expected


def test_a_record_is_named_by_the_line_it_starts_on_also_after_quoted_newlines_and_empty_lines() -> None:
    content = 'email,note\n\na@example.org,"one\r\ntwo\n\nthree"\n   ,\n,\n\r\nb@example.org,x\n'
    assert read(content) == [
        (3, ["a@example.org", "one\r\ntwo\n\nthree"]),
        (10, ["b@example.org", "x"]),
    ]


def test_a_header_may_follow_empty_lines_and_span_several() -> None:
    rows = rows_of('\n\r\n"first\nname","e-mail"\nAnna,a@example.org\n')
    assert rows.columns == ("first_name", "email")
    assert list(rows) == [(5, ["Anna", "a@example.org"])]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("email", ","),
        ("name,email", ","),
        ('"last, first; or both";email', ";"),
        ("email;note (a, b, c)", ";"),
        ('"a;b;c;d",email', ","),
        ("email\tnote, if any", "\t"),
        ('size 5",email,note', ","),
    ],
)
def test_the_delimiter_is_found_from_the_header_outside_quotes(header: str, delimiter: str) -> None:
    assert rows_of(header + "\n").delimiter == delimiter


def test_headers_become_names_that_templates_can_use() -> None:
    rows = rows_of("E-Mail, First Name ,last-name,Gro\u0308ße (cm),city\n")
    assert rows.columns == ("email", "first_name", "last_name", "größe_cm", "city")
    assert rows.email_index == 0
    assert rows.renamed == {
        "E-Mail": "email",
        " First Name ": "first_name",
        "last-name": "last_name",
        "Gro\u0308ße (cm)": "größe_cm",
    }


@pytest.mark.parametrize(
    "name", ["EMAIL", "e-mail", "E mail", " Email Address ", "e-mail address", '"email"']
)
def test_the_address_column_goes_by_several_names(name: str) -> None:
    rows = rows_of(f"name,{name}\nAnna,a@example.org\n")
    assert (rows.columns, rows.email_index) == (("name", "email"), 1)


def test_of_two_address_columns_the_plain_name_wins() -> None:
    assert rows_of("e-mail,email\n").columns == ("e_mail", "email")


def test_a_file_without_an_address_column_is_refused_with_the_columns_it_has() -> None:
    refusal = refusal_of("name;company\nAnna;Acme\n")
    assert refusal.code == "csv.no_email"
    assert "'name', 'company'" in refusal.message


def test_all_nameless_and_double_columns_are_named_at_once() -> None:
    refusal = refusal_of("email,,First Name,first-name, \n")
    assert refusal.code == "csv.header"
    assert refusal.problems == (
        "column 2 has no name",
        "column 5 has no name",
        "2 columns are named 'first_name': 'First Name', 'first-name'",
    )


@pytest.mark.parametrize("content", [b"", b"\n\r\n\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_file_is_refused(content: bytes) -> None:
    assert refusal_of(content).code == "csv.empty"


def test_a_header_with_an_open_quote_is_refused() -> None:
    assert refusal_of('"email,name\na@example.org,x\n').code == "csv.header"


def test_a_header_alone_is_a_file_without_rows() -> None:
    assert read("email,name") == []


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("email\n".encode("utf-16"), "UTF-16"),
        (b"\xfe\xff" + "email\n".encode("utf-16-be"), "UTF-16"),
        ("email\n".encode("utf-16-le"), "UTF-16LE"),
        ("email,straße\n".encode("latin-1"), "WINDOWS-1252"),
    ],
)
def test_another_encoding_is_refused_with_the_command_that_converts_it(
    content: bytes, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "my people.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput) as refusal:
        open_rows(path)
    assert refusal.value.code == "csv.encoding"
    assert refusal.value.hint == Hint(Shell("iconv", "-f", encoding, "-t", "UTF-8", str(path)), "> utf8.csv")


def test_bytes_that_are_no_text_spoil_only_their_own_line() -> None:
    content = b"email,name\na@x.org,J\xfcrg\nb@x.org,Anna\nc@x.org,N\0L\nd@x.org,\xc3\xbc\ne@x.org,\xc3"
    assert read(content) == [
        BadRow(2, "bytes that are not UTF-8 in cell 2"),
        (3, ["b@x.org", "Anna"]),
        BadRow(4, "a NUL byte in cell 2"),
        (5, ["d@x.org", "ü"]),
        BadRow(6, "bytes that are not UTF-8 in cell 2"),
    ]


def test_a_character_cut_by_the_end_of_a_block_is_still_one_character() -> None:
    for shift in range(8):
        content = "email,name\n" + "x" * shift + "@x.org,a\n" + "ü€😀@x.org,ü€😀\n" * 30_000
        rows = read(content)
        assert len(rows) == 30_001
        assert rows[-1] == (30_002, ["ü€😀@x.org", "ü€😀"])


def test_a_bad_byte_in_a_late_block_is_found() -> None:
    content = b"email,name\n" + b"a@x.org,Anna\n" * 100_000 + b"b@x.org,\xff\n"
    *good, bad = read(content)
    assert len(good) == 100_000
    assert bad == BadRow(100_002, "bytes that are not UTF-8 in cell 2")


def test_too_many_and_too_few_cells_are_a_problem_of_the_line_with_its_address() -> None:
    assert read("name,email,x\nA,a@x.org,1,2\nB\nC,c@x.org\nD,d@x.org,1\n") == [
        BadRow(2, "4 cells, but the header has 3", "a@x.org"),
        BadRow(3, "1 cells, but the header has 3"),
        BadRow(4, "2 cells, but the header has 3", "c@x.org"),
        (5, ["D", "d@x.org", "1"]),
    ]


def test_a_row_without_an_address_is_a_row() -> None:
    """Whether a cell is an address is for the import to say."""
    assert read("email,name\n,Anna\n") == [(2, ["", "Anna"])]


def test_text_after_a_closing_quote_spoils_its_lines_and_no_others() -> None:
    rows = read('email,name\na@x.org,"A" b\nb@x.org,"B\nc@x.org,"C"\nd@x.org,D\n')
    assert [row.line if isinstance(row, BadRow) else row for row in rows] == [2, 3, (5, ["d@x.org", "D"])]
    assert isinstance(rows[1], BadRow)
    assert rows[1].problem.endswith("lines 3 to 4 were skipped")


def test_a_quote_that_is_never_closed_costs_the_last_record_or_as_much_as_a_cell_may_hold() -> None:
    (bad,) = read('email,name\na@x.org,"A\nb@x.org,B\n')
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.problem[-25:]) == (2, "lines 2 to 3 were skipped")

    lines = 2 * LONGEST_CELL // len("b@x.org,B\n")
    bad, *good = read('email,name\na@x.org,"A\n' + "b@x.org,B\n" * lines)
    assert isinstance(bad, BadRow)
    assert "field larger than field limit" in bad.problem
    assert lines / 3 < len(good) < lines
    assert good == [(lines + 3 - left, ["b@x.org", "B"]) for left in range(len(good), 0, -1)]


def test_a_cell_over_the_limit_spoils_only_its_line_and_the_limit_of_the_process_stays() -> None:
    before = csv.field_size_limit()
    content = f"email,n\na@x.org,{'x' * LONGEST_CELL}\nb@x.org,{'x' * (LONGEST_CELL + 1)}\nc@x.org,x\n"
    whole, bad, after = read(content)
    assert whole == (2, ["a@x.org", "x" * LONGEST_CELL])
    assert isinstance(bad, BadRow)
    assert bad.line == 3
    assert after == (4, ["c@x.org", "x"])
    assert csv.field_size_limit() == before == LONGEST_CELL


class Producer(io.RawIOBase):
    """A stream of unknown length, made piece by piece while it is read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._rest or next(self._pieces, b"")
        taken, self._rest = piece[: len(buffer)], piece[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def test_an_endless_stream_is_read_as_it_comes() -> None:
    lines: Iterator[bytes] = itertools.chain([b"email,name\n"], itertools.repeat(b"a@x.org,Anna\n"))
    rows = open_rows(io.BufferedReader(Producer(lines)))
    assert rows.total_bytes is None
    assert len(list(itertools.islice(rows, 50_000))) == 50_000
    assert 650_000 < rows.read_bytes < 1_500_000


@pytest.mark.parametrize("start", [b"", b"email,name\n"])
def test_an_endless_line_is_given_up_instead_of_filling_the_memory(start: bytes) -> None:
    stream = Producer(itertools.chain([start], itertools.repeat(b"x" * 65_536)))
    with pytest.raises(BadInput) as refusal:
        list(open_rows(io.BufferedReader(stream)))
    assert refusal.value.code == "csv.line_too_long"


def test_progress_counts_the_bytes_of_a_file_and_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email\n" + "a@x.org\n" * 1000)
    with open_rows(path) as rows:
        assert len(list(rows)) == 1000
        assert rows.read_bytes == rows.total_bytes == path.stat().st_size
    assert not [fd for fd in os.listdir("/proc/self/fd") if _target(fd) == str(path)]


def _target(descriptor: str) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return None


def test_standard_input_stays_open() -> None:
    stream = io.BytesIO(b"email\na@x.org\n")
    with open_rows(stream) as rows:
        list(rows)
    del rows
    assert not stream.closed


def test_a_file_that_is_not_there_and_one_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no\.csv") as missing:
        open_rows(tmp_path / "no.csv")
    with pytest.raises(BadInput, match="Is a directory") as folder:
        open_rows(tmp_path)
    assert (missing.value.code, folder.value.code) == ("csv.not_found", "csv.unreadable")


@given(st.binary(max_size=200), st.booleans())
def test_no_content_whatever_breaks_the_reading(content: bytes, with_header: bool) -> None:
    try:
        rows = read(b"email,a\n" + content if with_header else content)
    except BadInput:
        assert not with_header
        return
    lines = [row.line if isinstance(row, BadRow) else row[0] for row in rows]
    assert lines == sorted(set(lines))
