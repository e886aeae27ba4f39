"""Everything the program says: tables for people, JSON for scripts. The only place that prints.

Results go to standard output, everything else to standard error. Text of strangers (servers, files, mail) is
freed of control characters first: a terminal obeys them.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from mailrotate.cli.hints import in_words
from mailrotate.cli.table import aligned, pages, print_on_terminal, stacked
from mailrotate.core.values.clock import next_whole_second, rfc3339
from mailrotate.core.values.duration import format_duration
from mailrotate.core.values.errors import BadInput, ConfirmationNeeded, MailrotateError
from mailrotate.core.values.hint import AnyHint, Ask, Command, Hint

# C0 and C1 control characters, and those that turn the direction of writing (Unicode TR36, section 3.2).
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_RFC3339 = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
# What stands between two runs of spaces.
_PART = re.compile(r"\S+(?: \S+)+")
_NO_BREAK = "\N{NO-BREAK SPACE}"
_MORE_PROBLEMS = 50
_NOTHING = "-"


def plain(text: object) -> str:
    """Text that can only be read, on one or more lines; a hint in words."""
    words = in_words(text) if isinstance(text, Command | Ask | Hint) else str(text)
    return _CONTROL.sub("\ufffd", words).replace("\t", " ")


def instant(at: datetime | None, zone: str, *, ahead: bool = False, brief_on: datetime | None = None) -> str:
    """For people: in the workspace's zone, whole seconds. What stands around it names the zone.

    `ahead` is for future instants: rounded up, so that the shown time is never too early. `brief_on` is now,
    for a column that leaves out today's date.
    """
    if at is None:
        return "-"
    shown = (next_whole_second(at) if ahead else at).astimezone(ZoneInfo(zone))
    is_today = brief_on is not None and shown.date() == brief_on.astimezone(ZoneInfo(zone)).date()
    return shown.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")


def zoned(at: datetime | None, zone: str, *, ahead: bool = False) -> str:
    """An instant with its zone, for sentences and single facts."""
    return "-" if at is None else f"{instant(at, zone, ahead=ahead)} {zone}"


def has_instant(text: str) -> bool:
    return _RFC3339.search(text) is not None


def localised(text: str, zone: str, *, brief_on: datetime | None = None) -> str:
    """A reason from the core, whose instants are RFC 3339, as people read it.

    `brief_on` is for one line about now: hours and minutes, with the day if it is another one.
    """

    def shown(found: re.Match[str]) -> str:
        at = datetime.fromisoformat(found[0])
        if brief_on is None:
            return zoned(at, zone)
        local, today = (each.astimezone(ZoneInfo(zone)) for each in (at, brief_on))
        return local.strftime("%H:%M" if local.date() == today.date() else "%Y-%m-%d %H:%M")

    return _RFC3339.sub(shown, text)


def counted(number: int, one: str, several: str | None = None) -> str:
    """`1 message`, `2 messages`; `several` where an s does not do."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def as_json(value: object) -> str:
    """snake_case keys as given; durations in whole seconds; instants in RFC 3339 UTC, as they are stored.

    An instant has microseconds unless they are 0, so that scripts can order what happened in one second.
    Only a gate's `until` is rounded, up to a whole second, and so is what is decided from it.

    What a terminal would obey is written as an escape, which means the same to a script.
    """
    written = json.dumps(value, default=_json_value, ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _json_value(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, AnyHint):
        return in_words(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


class Speech:
    """How one command speaks: to a person, or with `as_json` to a script."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json

    # --- results

    def line(self, text: object = "") -> None:
        print(plain(text))

    def wrapped(self, text: object, indent: int) -> None:
        """One line; on a terminal it goes on in further lines, indented by this many columns.

        They begin where two spaces stand, and between words only where a part is longer than a line.
        """
        if not is_terminal(sys.stdout):
            self.line(text)
            return
        from shutil import get_terminal_size
        from textwrap import wrap

        columns = get_terminal_size().columns

        def kept_together(part: re.Match[str]) -> str:
            return part[0].replace(" ", _NO_BREAK) if len(part[0]) <= columns - indent else part[0]

        # A word that is longer than a line stays whole, as it is what people copy.
        for line in wrap(
            _PART.sub(kept_together, plain(text)),
            columns,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        ):
            print(line.replace(_NO_BREAK, " "))

    def document(self, value: object) -> None:
        """The one JSON document."""
        print(as_json(value))

    def result(self, value: object, *lines: AnyHint) -> None:
        """JSON for a script, `lines` for a person."""
        if self.as_json:
            self.document(value)
        else:
            for text in lines:
                self.line(text)

    def listing(
        self,
        columns: Sequence[str],
        rows: Iterable[Mapping[str, Any]],
        cells: Callable[[Mapping[str, Any]], Sequence[object]],
        nothing: AnyHint = "nothing to show",
        drop: Sequence[str] = (),
        *,
        whole: bool = False,
    ) -> None:
        """A JSON array of `rows`, streamed; for people a table of their `cells`."""
        if self.as_json:
            self._stream_array(rows)
        else:
            self.table(columns, (cells(row) for row in rows), nothing, drop, whole=whole)

    def _stream_array(self, rows: Iterable[Mapping[str, Any]], ending: str = "") -> None:
        separator = "["
        for row in rows:
            print(separator + as_json(row), end="")
            separator = ",\n"
        print(("[]" if separator == "[" else "]") + ending)

    def report(self, head: Mapping[str, Any], key: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """The one JSON document, with an array at its end that is streamed."""
        print(f"{as_json(dict(head))[:-1]}, {as_json(key)}: ", end="")
        self._stream_array(rows, "}")

    def stream(self, row: Mapping[str, Any], *lines: AnyHint) -> None:
        """One object or line of an endless result, out at once."""
        self.result(row, *lines)
        sys.stdout.flush()

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        nothing: AnyHint = "nothing to show",
        drop: Sequence[str] = (),
        *,
        whole: bool = False,
    ) -> None:
        """Aligned text in a pipe; on a terminal what fits of it, one row a line, each page under its heading.

        `drop` are the columns that a narrow terminal does without, the least important first. With `whole`,
        prose goes on in further lines and is not cut.
        """
        found = pages([cell(value) for value in row] for row in rows)
        first = next(found, None)
        if first is None:
            self.say(nothing)
        elif is_terminal(sys.stdout):
            for page in chain([first], found):
                print_on_terminal(columns, page, drop, whole=whole)
        else:
            for line in aligned(columns, chain([first], found)):
                print(line)

    def facts(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Names and values of one thing, below each other."""
        shown = list(pairs)
        for line in stacked([name for name, _ in shown], [cell(value) for _, value in shown]):
            print(line)

    # --- everything else

    def say(self, text: object = "") -> None:
        print(plain(text), file=sys.stderr)

    def warn(self, text: object) -> None:
        self.say(f"warning: {plain(text)}")

    def next(self, hint: AnyHint) -> None:
        """The command one is likely to want next; for people at a terminal."""
        if not self.as_json and is_terminal(sys.stdout):
            self.say(f"next: {in_words(hint)}")

    def error(self, error: MailrotateError, shown: Callable[[str], str] = str) -> None:
        """Print an error; `shown` puts the instants of its message into people's time zone."""
        problems = error.problems if isinstance(error, BadInput) else ()
        self.say(f"error: {shown(error.message)}")
        if len(problems) > 1 or (problems and problems[0] != error.message):
            for problem in problems[:_MORE_PROBLEMS]:
                self.say(f"  {problem}")
            if len(problems) > _MORE_PROBLEMS:
                self.say(f"  … and {len(problems) - _MORE_PROBLEMS} more")
        if error.hint:
            self.say(f"hint: {in_words(error.hint)}")
        if self.as_json:
            detail: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
            if problems:
                detail["problems"] = list(problems)
            print(as_json({"error": detail}), file=sys.stderr)

    def usage_error(self, message: str, context: Any) -> None:
        hint = f"{context.command_path} --help" if context is not None else "mailrotate --help"
        # The parser's prefix means nothing to the reader.
        message = re.sub(r"^Invalid value: |\bValue error, ", "", message)
        self.error(BadInput("usage", message, hint))

    def defect(self, error: Exception) -> None:
        """Report an unexpected error. Its text may contain anything, so only its kind is shown."""
        message = f"unexpected failure ({type(error).__name__})"
        hint = "run the command again with `mailrotate --debug …` to see where"
        self.error(MailrotateError("unexpected", message, hint))

    def confirm(
        self,
        consequences: Sequence[AnyHint],
        question: str,
        *,
        yes: bool,
        dry_run: bool,
        has_document: bool = False,
    ) -> bool:
        """Show what follows and ask; False when it must not be done.

        A script that gets False gets the consequences as the document, unless the command has one of its own.

        Raises ConfirmationNeeded (`confirmation.needed`) without a terminal.
        """
        for text in consequences:
            self.say(text)
        if dry_run:
            self.say("nothing was changed (--dry-run)")
            return self._unchanged(consequences, has_document)
        if yes:
            return True
        if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            raise ConfirmationNeeded(
                "confirmation.needed",
                "cannot ask for confirmation (no terminal); nothing was changed",
                "add --yes to do it",
            )
        print(f"{plain(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in {"y", "yes"}:
            return True
        self.say("nothing was changed")
        return self._unchanged(consequences, has_document)

    def _unchanged(self, consequences: Sequence[AnyHint], has_document: bool) -> bool:
        if self.as_json and not has_document:
            self.document({"changed": False, "consequences": list(consequences)})
        return False

    def ask(self, question: str, default: str, read: Callable[[str], str]) -> str:
        """Prompt for a line of text until `read` accepts one; it raises BadInput for the others.

        Returns the default for an empty line, and without a terminal.
        """
        while is_terminal(sys.stdin) and is_terminal(sys.stderr):
            print(f"{plain(question)} [{plain(default)}]: ", end="", file=sys.stderr, flush=True)
            typed = " ".join(sys.stdin.readline().split())
            if not typed:
                break
            try:
                return read(typed)
            except BadInput as wrong:
                self.say(f"{wrong.message}; {in_words(wrong.hint or '')}")
        return default

    def ask_secret(self, question: str) -> str | None:
        """Prompt for a hidden value; None without a terminal."""
        if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            return None
        from getpass import getpass

        return getpass(f"{plain(question)}: ", stream=sys.stderr)

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[float | None, str], None]]:
        """Show how far long work is (0 to 1, or None where that is unknown); on a terminal only."""
        if not is_terminal(sys.stderr) or self.as_json:
            yield lambda _share, _words: None
            return

        def show(share: float | None, words: str) -> None:
            percent = "" if share is None else f"{min(share, 1):4.0%} "
            print(f"\r\x1b[K{plain(what)}: {percent}{plain(words)}", end="", file=sys.stderr, flush=True)

        try:
            yield show
        finally:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def is_terminal(stream: TextIO) -> bool:
    return stream is not None and stream.isatty()


def cell(value: object) -> str:
    """A value as it stands in a table or a sentence, on one line."""
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, tuple):
        return plain(", ".join(map(str, value)))
    return plain(value).replace("\n", " ")
