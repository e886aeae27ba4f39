"""Reads a campaign's TOML file and finds every mistake in it at once (D1)."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from mailrotate.core.rules.attachment_types import content_type_of
from mailrotate.core.rules.campaign_senders import read_rotation, read_senders, read_weights
from mailrotate.core.rules.letter_check import Kind, check_text
from mailrotate.core.rules.rotation import meant
from mailrotate.core.rules.template_language import TemplateProblem
from mailrotate.core.rules.text_needs import TextNeeds
from mailrotate.core.rules.toml_lines import key_lines, line_of
from mailrotate.core.rules.toml_table import Report, Table, in_order, key_of, kind_of
from mailrotate.core.values.delivery_window import DeliveryWindow, check_zone
from mailrotate.core.values.duration import parse_duration
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.letter import LONGEST_FILENAME, LONGEST_SUBJECT, MOST_ATTACHED_BYTES, Attachment
from mailrotate.core.values.remark import Remark
from mailrotate.core.values.states import Rotation

RECIPIENT_ZONE = "recipient"
LONGEST_NAME = 100
A_NAME = f"one line of at most {LONGEST_NAME} characters that does not begin with '-'"
MOST_STEPS = 50
LONGEST_DELAY = timedelta(days=366)

_KEYS = (
    "name",
    "timezone",
    "window",
    "holidays",
    "from",
    "rotate",
    "weights",
    "team",
    "on_auto_reply",
    "steps",
)
_STEP_KEYS = ("delay", "subject", "body", "text", "attach", "from")
_ON_AUTO_REPLY = ("wait", "continue")
_HOLIDAYS = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")
_HOLIDAYS_HINT = 'write a country like "DE", one of its regions like "DE-BY", or a list of dates'
_SYNTAX_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")


@dataclass(frozen=True)
class Unreadable:
    """Why a file that the campaign names could not be read."""

    reason: str


Files = Mapping[str, bytes | Unreadable]


HolidayCheck = Callable[[str], Remark | None]


@dataclass(frozen=True)
class PlannedStep:
    """One step of the file; `n` counts from 1, `sender` is the step's own (D9)."""

    n: int
    delay: timedelta
    subject: str | None
    body: str
    attachments: tuple[Attachment, ...]
    sender: str | None


@dataclass(frozen=True)
class CampaignPlan:
    """A campaign read from its file and checked.

    `timezone` is an IANA name, `recipient`, or None for the workspace's; the window's own zone is that name
    where there is one. `holidays` is a code, ISO dates, or None. `rotate` is the rotation that the file
    names.
    """

    name: str
    timezone: str | None
    window: DeliveryWindow
    holidays: str | tuple[str, ...] | None
    from_addresses: tuple[str, ...]
    rotate: Rotation | None
    weights: Mapping[str, int]
    team: bool
    on_auto_reply: str
    steps: tuple[PlannedStep, ...]
    warnings: tuple[str, ...] = ()

    @property
    def rotation(self) -> Rotation | None:
        """The rotation that is meant."""
        senders = len(self.from_addresses)
        return meant(self.rotate, senders, is_team=self.team, has_weights=bool(self.weights))

    @property
    def needs(self) -> TextNeeds:
        """What the texts need of every recipient, in whatever step they stand."""
        return TextNeeds.of((step.subject, step.body) for step in self.steps)


def files_named(text: str) -> list[str]:
    """The bodies and attachments that a campaign names, as written, each once.

    Text that is not a campaign file names no files; `read_plan` says why.
    """
    try:
        steps = tomllib.loads(text).get("steps")
    except (ValueError, RecursionError):
        return []
    named: list[object] = []
    for step in steps if isinstance(steps, list) else []:
        if isinstance(step, dict):
            attached = step.get("attach")
            named += [step.get("body"), *(attached if isinstance(attached, list) else [])]
    return list(dict.fromkeys(name for name in named if isinstance(name, str) and name))


def read_plan(
    text: str, file_name: str, files: Files, check_holidays: HolidayCheck = lambda _code: None
) -> CampaignPlan:
    """The campaign of a TOML text, with `files` being what `files_named` names.

    `check_holidays` says what is wrong with a country's code, or easily overlooked.

    Raises BadInput (`campaign.invalid`), whose `problems` are all mistakes, each with its file and line.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as mistake:
        # Not only tomllib's own: a number of 5,000 digits is too long for Python.
        raise _refusal(file_name, [_syntax_problem(file_name, str(mistake))]) from None
    report = Report(file_name, text, key_lines(text))
    table = Table(document, (), report)
    plan = _plan(table, files)
    if isinstance(plan.holidays, str) and (remark := check_holidays(plan.holidays)) is not None:
        report.add(("holidays",), remark.message, is_mistake=remark.is_mistake)
    if report.problems:
        raise _refusal(file_name, in_order(report.problems))
    return replace(plan, warnings=tuple(in_order(report.warnings)))


def _refusal(file_name: str, problems: Sequence[str]) -> BadInput:
    message = problems[0] if len(problems) == 1 else f"{file_name} has {len(problems)} mistakes"
    hint = Hint("correct the file, then run:", Command("campaign", "check", file_name))
    return BadInput("campaign.invalid", message, hint, problems)


def _syntax_problem(file_name: str, message: str) -> str:
    found = _SYNTAX_LINE.search(message)
    return f"{file_name}:{found[1] if found else 1}: {_SYNTAX_LINE.sub('', message)} (not valid TOML)"


def _plan(table: Table, files: Files) -> CampaignPlan:
    table.check_keys(_KEYS)
    timezone = _timezone(table)
    senders = read_senders(table)
    rotate = read_rotation(table)
    weights = read_weights(table, senders, rotate)
    team = table.values.get("team", False)
    if not isinstance(team, bool):
        table.add("team", f"must be true or false, not {kind_of(team)}")
    rotation = meant(rotate, len(senders), is_team=bool(team), has_weights=bool(weights))
    return CampaignPlan(
        name=_name(table),
        timezone=timezone,
        window=_window(table, timezone),
        holidays=_holidays(table),
        from_addresses=senders,
        rotate=rotate,
        weights=weights,
        team=bool(team),
        on_auto_reply=table.choice("on_auto_reply", _ON_AUTO_REPLY, "wait"),
        steps=tuple(_steps(table, files, rotated=rotation is not None)),
    )


def _name(table: Table) -> str:
    if "name" not in table.values:
        table.add("name", 'is missing; write name = "autumn-intro"')
    name = (table.text("name", "autumn-intro") or "").strip()
    if name and not is_name(name):
        table.add("name", f"must be {A_NAME}")
    return name


def is_name(name: str) -> bool:
    """Whether people can name a campaign so: a command takes a dash at the beginning for an option."""
    is_line = name.isprintable() and name == name.strip()
    return 0 < len(name) <= LONGEST_NAME and is_line and not name.startswith("-")


def _timezone(table: Table) -> str | None:
    zone = table.text("timezone", "Europe/Berlin")
    if zone is None or zone == RECIPIENT_ZONE:
        return zone
    try:
        return check_zone(zone)
    except BadInput as trouble:
        table.add("timezone", f'{trouble.sentence}, or "{RECIPIENT_ZONE}"')
        return None


def _window(table: Table, timezone: str | None) -> DeliveryWindow:
    zone = "UTC" if timezone in (None, RECIPIENT_ZONE) else str(timezone)
    written = table.values.get("window")
    # One by one, so that each wrong block is reported.
    for block in written if isinstance(written, list) and written else [written]:
        try:
            DeliveryWindow.parse(block)
        except BadInput as trouble:
            for problem in trouble.problems or (trouble.sentence,):
                table.add("window", problem)
            written = None
    return DeliveryWindow.parse(written, zone)


def _holidays(table: Table) -> str | tuple[str, ...] | None:
    value = table.values.get("holidays")
    if value is None or (isinstance(value, str) and _HOLIDAYS.fullmatch(value)):
        return value
    if not isinstance(value, list):
        table.add("holidays", f"{str(value)!r} names no holidays; {_HOLIDAYS_HINT}")
        return None
    days = [_day(entry) for entry in value]
    for entry, day in zip(value, days, strict=True):
        if day is None:
            table.add("holidays", f"{str(entry)!r} is not a date; write a day like 2026-12-24")
    return tuple(sorted({day for day in days if day is not None}))


def _day(value: object) -> str | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    try:
        return date.fromisoformat(value).isoformat() if isinstance(value, str) else None
    except ValueError:
        return None


def _steps(table: Table, files: Files, *, rotated: bool) -> Iterator[PlannedStep]:
    steps = table.values.get("steps")
    if not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
        table.add("steps", "a campaign needs at least one; write each under a line [[steps]]")
        return
    if len(steps) > MOST_STEPS:
        table.add("steps", f"{len(steps)} are too many; at most {MOST_STEPS} are allowed")
        return
    for n, values in enumerate(steps, 1):
        step = Table(values, ("steps", n - 1), table.report)
        step.check_keys(_STEP_KEYS)
        yield PlannedStep(
            n=n,
            delay=_delay(step, n),
            subject=_subject(step, n),
            body=_body(step, files),
            attachments=_attachments(step, files),
            sender=_own_sender(step, rotated),
        )


def _delay(step: Table, n: int) -> timedelta:
    if n > 1 and "delay" not in step.values:
        step.add("delay", 'is missing; write how long after the step before, like delay = "3d"')
    written = step.text("delay", "3d")
    if written is None:
        return timedelta()
    try:
        delay = parse_duration(written)
    except BadInput as trouble:
        step.add("delay", trouble.sentence)
        return timedelta()
    if delay > LONGEST_DELAY:
        step.add("delay", f"'{written}' is too long; at most {LONGEST_DELAY.days}d are allowed")
    return delay


def _subject(step: Table, n: int) -> str | None:
    subject = step.text("subject", "A question about {{ company }}")
    if n == 1 and "subject" not in step.values:
        step.add("subject", "is missing; the first step begins the thread and needs one")
    if subject is None:
        return None
    if len(subject) > LONGEST_SUBJECT:
        step.add("subject", f"is longer than {LONGEST_SUBJECT} characters")
    for problem in check_text(subject, Kind.SUBJECT):
        step.report.add((*step.path, "subject"), problem.message, is_mistake=problem.is_mistake)
    return subject


def _body(step: Table, files: Files) -> str:
    body, text = step.text("body", "intro.md"), step.text("text", "Hello")
    if "body" in step.values and "text" in step.values:
        step.add("text", "stands beside 'body'; keep one of the two")
    elif "body" not in step.values and "text" not in step.values:
        step.add("body", 'is missing; write body = "intro.md", or the words as text = """…"""')
    if body is not None:
        return _body_of_file(step, body, files)
    if text is None:
        return ""
    line = line_of((*step.path, "text"), step.report.lines)
    # A line end right behind the opening quotes is not part of the text (TOML 1.0, String).
    written = step.report.text.splitlines()[line - 1].rstrip()
    before_first = line if written.endswith(('"""', "'''")) and "\n" in text else line - 1
    # A one-line string has escapes for its line ends, so that all its problems are on that line.
    is_long = '"""' in written or "'''" in written
    for problem in check_text(text, Kind.BODY):
        number = before_first + problem.line if is_long else line
        place = f"{step.report.file_name}:{number}: {key_of((*step.path, 'text'))}"
        _report(step, "text", place, problem)
    return text


def _report(step: Table, key: str, place: str, problem: TemplateProblem) -> None:
    step.report.add_elsewhere((*step.path, key), place, problem.message, is_mistake=problem.is_mistake)


def _body_of_file(step: Table, name: str, files: Files) -> str:
    content = _content(step, "body", name, files)
    if content is None:
        return ""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as mistake:
        line = content.count(b"\n", 0, mistake.start) + 1
        step.report.add_elsewhere((*step.path, "body"), step.report.place_beside(name, line), "is not UTF-8")
        return ""
    if not text.strip():
        step.add("body", f"'{name}' is empty")
    for problem in check_text(text, Kind.BODY):
        _report(step, "body", step.report.place_beside(name, problem.line), problem)
    return text


def _content(step: Table, key: str, name: str, files: Files) -> bytes | None:
    content = files.get(name, Unreadable("was not read"))
    if isinstance(content, Unreadable):
        step.add(key, f"'{name}' {content.reason}")
        return None
    return content


def _attachments(step: Table, files: Files) -> tuple[Attachment, ...]:
    found = []
    for name in step.texts("attach", "one-pager.pdf"):
        data = _content(step, "attach", name, files)
        filename = name.replace("\\", "/").rpartition("/")[2]
        if data is None:
            continue
        if len(filename) > LONGEST_FILENAME:
            step.add("attach", f"'{filename}' is longer than {LONGEST_FILENAME} characters")
        found.append(Attachment(filename, content_type_of(filename), data))
    size = sum(len(attachment.data) for attachment in found)
    if size > MOST_ATTACHED_BYTES:
        step.add(
            "attach",
            f"{size / 1e6:.1f} MB together; at most {MOST_ATTACHED_BYTES // 1_000_000} MB are allowed",
        )
    return tuple(found)


def _own_sender(step: Table, rotated: bool) -> str | None:
    written = step.text("from", "ceo@example.org")
    if written is None:
        return None
    if rotated:
        step.add("from", "a step has its own sender only in a campaign without a rotation; leave it out")
    return step.address("from", written)
