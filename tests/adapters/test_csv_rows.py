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
from mailrotate.adapters.formulas import escape, unescape
from mailrotate.core.rules.field_names import ColumnChoice
from mailrotate.core.rules.text import clean_value
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Command

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
    # Blanks before a cell, and an apostrophe for spreadsheets, are gone; what follows is for `clean_value`.
    assert [(line, cleaned(cells)) for line, cells in read(text.getvalue())] == [  # type: ignore[misc]  # no bad rows
        (line, cleaned(map(unescape, cells))) for line, cells in expected
    ]


def cleaned(written: Iterable[str]) -> list[str]:
    return list(map(clean_value, written))


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
    assert rows.notes == (
        "column 'E-Mail' has the addresses",
        "column 'First Name ' is the field {{ first_name }}",
        "column 'last-name' is the field {{ last_name }}",
        "column 'Gro\u0308ße (cm)' is the field {{ größe_cm }}",
    )


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


def test_nameless_columns_are_left_out_and_double_ones_numbered_with_a_note() -> None:
    rows = rows_of("email,,First Name,first-name, \na@x.org,7,A,B,\n")
    assert rows.columns == ("email", "first_name", "first_name_2")
    assert rows.notes == (
        "columns 2, 5 have no name and are left out",
        "column 'First Name' is the field {{ first_name }}",
        "column 'first-name' is the field {{ first_name_2 }}",
    )
    assert list(rows) == [(2, ["a@x.org", "A", "B"])]


def test_double_columns_that_the_text_uses_are_refused_until_one_is_chosen() -> None:
    content = b"email,Name,name,Name\na@x.org,A,B,C\n"
    with pytest.raises(BadInput) as refusal:
        open_rows(io.BytesIO(content), ColumnChoice(used=frozenset({"name"})))
    assert refusal.value.problems == ("'name' (columns 2 'Name', 3 'name', 4 'Name')",)
    rows = open_rows(io.BytesIO(content), ColumnChoice({"4": "name"}, used=frozenset({"name"})))
    assert rows.columns == ("email", "name_2", "name_3", "name")


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
        ("email\na@x.org\n".encode("utf-16-le"), "utf-16-le"),
        ("email\na@x.org\n".encode("utf-16-be"), "utf-16-be"),
        ("email,straße\n".encode("latin-1"), "cp1252"),
        ("email,imię\na@x.org,Małgorzata Żółć\n".encode("cp1250"), "cp1250"),
        ("email,имя\na@x.org,Мария Петрова\n".encode("cp1251"), "cp1251"),
        ("email,name\na@x.org,Käthe Jürgens\nb@x.org,Günther\n".encode("mac_roman"), "mac_roman"),
        ("email,名前\na@x.org,田中太郎\n".encode("cp932"), "cp932"),
    ],
)
def test_another_encoding_is_refused_with_the_command_that_reads_it(
    content: bytes, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "my people.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput) as refusal:
        open_rows(path)
    assert refusal.value.code == "csv.encoding"
    command = Command("recipient", "import", "CAMPAIGN", "FILE", "--encoding", encoding)
    assert refusal.value.hint == command
    with open_rows(path, encoding=encoding) as rows:
        assert rows.columns[0] == "email"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("order", ["-le", "-be"])
def test_a_byte_order_mark_says_the_encoding(encoding: str, order: str) -> None:
    codec = encoding if encoding == "utf-8-sig" else encoding + order
    content = ("" if encoding == "utf-8-sig" else "\ufeff") + "email;name\na@x.org;Jürg 名前\n"
    assert read(content.encode(codec)) == [(2, ["a@x.org", "Jürg 名前"])]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04\x14\0\x06\0[Content_Types].xml xl/workbook.xml", r"an Excel workbook \(\.xlsx\)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), r"an Excel workbook \(\.xls\)"),
        (b"PK\x03\x04 mimetypeapplication/vnd.oasis.opendocument.spreadsheetPK", r"\(\.ods\)"),
        (b"PK\x03\x04 Index/Document.iwa", r"\(\.numbers\)"),
        (b"PK\x03\x04 people.csv", "a compressed file"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\n<html><table>", "a web page"),
        (b"BEGIN:VCARD\nVERSION:3.0\n", "a file of vCards"),
    ],
)
def test_a_file_that_is_no_csv_is_named_as_what_it_is_with_how_to_export_it(
    content: bytes, what: str
) -> None:
    with pytest.raises(BadInput, match=what) as refusal:
        rows_of(content)
    assert (refusal.value.code, "CSV" in str(refusal.value.hint)) == ("csv.format", True)


@pytest.mark.parametrize("name", ["klingon", "rot13", "zlib", "idna", "unicode_escape", "", "\0", "x" * 999])
def test_an_encoding_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadInput) as refusal:
        open_rows(io.BytesIO(b"email\n"), encoding=name)
    assert refusal.value.code == "encoding.unknown"


def test_bytes_that_are_no_text_spoil_only_their_own_line_of_a_file_in_utf_8() -> None:
    content = "email,name\na@x.org,J\udcfcrg\nb@x.org,Anna\nc@x.org,N\0L\nd@x.org,üäö\ne@x.org,\udcc3"
    assert read(content.encode("utf-8", "surrogateescape")) == [
        BadRow(2, "bytes that are not UTF-8 in cell 2"),
        (3, ["b@x.org", "Anna"]),
        BadRow(4, "a NUL byte in cell 2"),
        (5, ["d@x.org", "üäö"]),
        BadRow(6, "bytes that are not UTF-8 in cell 2"),
    ]


def test_bytes_that_the_named_encoding_does_not_have_spoil_only_their_line() -> None:
    rows = open_rows(io.BytesIO(b"email,name\na@x.org,\x81\nb@x.org,J\xfcrg\n"), encoding="cp1252")
    assert list(rows) == [BadRow(2, "bytes that are not cp1252 in cell 2"), (3, ["b@x.org", "Jürg"])]


def test_a_character_cut_by_the_end_of_a_block_is_still_one_character() -> None:
    for shift in range(8):
        content = "email,name\n" + "x" * shift + "@x.org,a\n" + "ü€😀@x.org,ü€😀\n" * 30_000
        rows = read(content)
        assert len(rows) == 30_001
        assert rows[-1] == (30_002, ["ü€😀@x.org", "ü€😀"])


def test_another_encoding_in_a_late_block_refuses_the_file() -> None:
    content = b"email,name\n" + b"a@x.org,Anna\n" * 100_000 + b"b@x.org,Jos\xe9\n"
    with pytest.raises(BadInput, match=r"to be cp1252, in which a line reads 'b@x\.org,José'"):
        read(content)


def test_surplus_cells_with_text_are_a_problem_of_the_line_and_missing_ones_are_blank() -> None:
    assert read("name,email,x\nA,a@x.org,1,2\nB\nC,c@x.org\nD,d@x.org,1, ,\u200b\n") == [
        BadRow(2, "4 cells, but the header names 3 columns", "a@x.org"),
        (3, ["B", "", ""]),
        (4, ["C", "c@x.org", ""]),
        (5, ["D", "d@x.org", "1"]),
    ]


def test_text_in_a_column_after_the_last_one_with_a_name_is_surplus() -> None:
    """An unquoted comma in a cell moves the others, as here into the column that spreadsheets leave there."""
    assert read("email,company,\na@x.org,Acme,\nb@x.org,Acme, Inc.\n") == [
        (2, ["a@x.org", "Acme"]),
        BadRow(3, "3 cells, but the header names 2 columns", "b@x.org"),
    ]


@pytest.mark.parametrize(
    "written",
    [
        ' "Kim, Lee"',
        '\t"Kim, Lee"',
        '\u00a0"Kim, Lee"',
        '"Kim, Lee" ',
        '"Kim, Lee"\t\u00a0',
        '\u200b "Kim, Lee"  ',
    ],
)
@pytest.mark.parametrize("after", ["", ",x"])
def test_a_quoted_cell_between_blanks_is_read_as_quoted(written: str, after: str) -> None:
    (row,) = read(f"email,name,note\na@x.org,{written}{after}\n")
    assert row == (2, ["a@x.org", "Kim, Lee", after[1:]])


@pytest.mark.parametrize(
    ("before", "delimiter"),
    [
        ("sep=;", ";"),
        ("SEP=;", ";"),
        ('"sep=;"', ";"),
        ("\n\nsep=;", ";"),
        ("sep=|", "|"),
        ("sep=\t", "\t"),
        ("sep=^", "^"),
        ("sep=;;;", ";"),
    ],
)
def test_a_line_that_names_the_separator_is_obeyed(before: str, delimiter: str) -> None:
    rows = rows_of(f"{before}\nemail|note, text\na@x.org|1, 2\n".replace("|", delimiter))
    assert rows.columns == ("email", "note_text")
    assert list(rows) == [(before.count("\n") + 3, ["a@x.org", "1, 2"])]


def test_lines_before_the_header_are_passed_over() -> None:
    content = (
        'Notes:\n"Some of the email addresses are missing, ""because"" …"\n\nName,Email Address\nA,a@x.org\n'
    )
    assert read(content) == [(5, ["A", "a@x.org"])]


def test_as_many_columns_as_a_spreadsheet_has_are_read_and_no_more() -> None:
    assert len(rows_of("email" + ",a" * 16_383).columns) == 16_384
    refusal = refusal_of("email" + ",a" * 16_384)
    assert (refusal.code, "16,385" in refusal.message) == ("csv.header", True)


def test_a_record_over_many_lines_is_given_up_instead_of_filling_the_memory() -> None:
    lines = itertools.chain(
        [b"email,name\n", b'a@x.org,"\n'], itertools.repeat(b'","' + b"x" * 60_000 + b"\n")
    )
    with pytest.raises(BadInput) as refusal:
        list(open_rows(io.BufferedReader(Producer(lines))))
    assert refusal.value.code == "csv.line_too_long"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
def test_what_an_export_writes_is_read_back_as_it_was(value: str) -> None:
    assert unescape(escape(value)) == value


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
    assert rows.read_share is None
    assert len(list(itertools.islice(rows, 50_000))) == 50_000


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
        assert rows.read_share == 1
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
    except BadInput as refusal:
        refused: str | None = refusal.code
    else:
        refused = None
    if refused is not None:
        assert not with_header or refused == "csv.encoding"
        return
    lines = [row.line if isinstance(row, BadRow) else row[0] for row in rows]
    assert lines == sorted(set(lines))
