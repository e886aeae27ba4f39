"""D1, D4, D9: a campaign file becomes a plan, or all its mistakes with their lines."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.rules.campaign_file import (
    CampaignPlan,
    Files,
    Unreadable,
    files_named,
    read_plan,
)
from mailrotate.core.rules.toml_lines import key_lines, line_of
from mailrotate.core.values.delivery_window import Block
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.letter import MOST_ATTACHED_BYTES, Attachment
from mailrotate.core.values.states import Rotation

WHOLE = """\
name = "autumn-intro"
timezone = "Europe/Berlin"    # or "recipient"
window = { days = "mon-fri", hours = "09:00-17:30" }
holidays = "DE"
from = ["Anna@example.org", "ben@example.org"]
rotate = "equal"
on_auto_reply = "continue"

[[steps]]
subject = "A question about {{ company }}"
body = "intro.md"

[[steps]]
delay = "3d"
text = \"\"\"
Did you see this, {{ first_name | default("there") }}?
\"\"\"

[[steps]]
delay = "1w"
subject = "One last thing"
body = "last.md"
attach = ["docs/one-pager.pdf"]
"""
FILES: Files = {
    "intro.md": b"\xef\xbb\xbfHi {{ first_name }}",
    "last.md": b"Bye {{ city }}",
    "docs/one-pager.pdf": b"%PDF",
}
SMALL = 'name = "x"\n[[steps]]\nsubject = "s"\ntext = "t"\n'


def problems_of(text: str, files: Files = FILES) -> list[str]:
    with pytest.raises(BadInput) as refusal:
        read_plan(text, "c.toml", files)
    assert refusal.value.code == "campaign.invalid"
    return list(refusal.value.problems)


def small(top: str = "", step: str = "") -> CampaignPlan:
    return read_plan(f"{top}\n{SMALL}{step}\n", "c.toml", FILES)


def test_d1_a_whole_file_becomes_a_plan() -> None:
    plan = read_plan(WHOLE, "c.toml", FILES)
    assert plan.name == "autumn-intro"
    assert (plan.timezone, plan.window.zone) == ("Europe/Berlin", "Europe/Berlin")
    assert plan.window.blocks == (Block((0, 1, 2, 3, 4), 540, 1050),)
    assert plan.holidays == "DE"
    assert plan.from_addresses == ("anna@example.org", "ben@example.org")
    assert (plan.rotation, plan.team, plan.on_auto_reply) == (Rotation.EQUAL, False, "continue")
    first, second, third = plan.steps
    assert (first.n, first.delay, first.body) == (1, timedelta(), "Hi {{ first_name }}")
    assert (second.delay, second.subject, second.sender) == (timedelta(days=3), None, None)
    assert second.body == 'Did you see this, {{ first_name | default("there") }}?\n'
    assert third.attachments == (Attachment("one-pager.pdf", "application/pdf", b"%PDF"),)


def test_d1_every_recipient_needs_the_fields_without_fallback_of_all_steps() -> None:
    assert read_plan(WHOLE, "c.toml", FILES).needs.fields == {"company", "first_name", "city"}


def test_d1_the_files_of_a_campaign_are_named_once() -> None:
    assert files_named(WHOLE) == ["intro.md", "last.md", "docs/one-pager.pdf"]
    assert (
        files_named('steps = [1, {body = 2, attach = "x"}]')
        == files_named("[[")
        == files_named("steps = 1")
        == []
    )


def test_a_minimal_file_takes_the_defaults() -> None:
    plan = small()
    assert (plan.timezone, plan.holidays, plan.from_addresses, plan.rotation) == (None, None, (), None)
    assert plan.window.blocks == (Block((0, 1, 2, 3, 4), 540, 1020),)
    assert plan.on_auto_reply == "wait"


def test_e3_two_senders_imply_the_equal_rotation_and_one_none() -> None:
    assert small('from = ["a@example.org", "b@example.org"]').rotation is Rotation.EQUAL
    assert small('from = "a@example.org"').rotation is None
    assert small('from = ["a@example.org"]\nrotate = "equal"').rotation is Rotation.EQUAL


@pytest.mark.parametrize("written", ['["2026-12-24", "2027-01-01"]', "[2027-01-01, 2026-12-24]"])
def test_d4_holidays_are_a_code_or_dates(written: str) -> None:
    assert small(f"holidays = {written}").holidays == ("2026-12-24", "2027-01-01")
    assert small('holidays = "DE-BY"').holidays == "DE-BY"


def test_d4_the_zone_can_be_the_recipients() -> None:
    assert small('timezone = "recipient"').timezone == "recipient"


def test_d9_a_step_names_its_own_sender_without_a_rotation() -> None:
    assert small(step='from = "CEO@example.org"').steps[0].sender == "ceo@example.org"


def test_d1_a_name_that_a_command_takes_for_an_option_is_refused() -> None:
    (problem,) = problems_of('name = "--json"\n[[steps]]\nsubject = "s"\ntext = "t"\n', {})
    assert problem == (
        "c.toml:1: name: must be one line of at most 100 characters that does not begin with '-'"
    )


def test_d4_a_single_date_is_named_as_it_was_written() -> None:
    text = 'name = "x"\nholidays = 2026-12-24\n[[steps]]\nsubject = "s"\ntext = "t"\n'
    (problem,) = problems_of(text, {})
    assert problem.startswith("c.toml:2: holidays: '2026-12-24' names no holidays; write a country")


BROKEN = """\
nam = "x"
timezone = "Europe/Berlim"
window = [
  { days = "mon-fri", hours = "09:00-17:30" },
  { days = "mo-fr", hours = "09:00-17:30" },
  { days = "sat", hours = "17-9" },
]
holidays = ["2026-13-01", 5]
from = ["a@example.org", "A@example.org", "nobody"]
rotate = "round"
weights = { "a@example.org" = 0 }
team = "yes"
on_auto_reply = "stop"

[[steps]]
delay = "3"
body = "bad.md"
text = "both"
attach = "x.pdf"
from = "ceo@example.org"

[[steps]]
subject = "Hi {{ name"
text = '''
fine
{{ f() }}
'''
attach = ["gone.pdf", "huge.bin", "huge2.bin"]
reply = true

[[steps]]
delay = 3
subject = ""
"""


def test_d1_every_mistake_is_reported_at_once_with_file_line_and_key() -> None:
    huge = bytes(MOST_ATTACHED_BYTES // 2 + 1)
    files: Files = {
        "bad.md": b"fine\n{{ x | nope }}\n[a]({{ b }})\n",
        "gone.pdf": Unreadable("cannot be read: No such file or directory"),
        "huge.bin": huge,
        "huge2.bin": huge,
    }
    problems = problems_of(BROKEN, files)
    expected = [
        "c.toml:1: name: is missing",
        "c.toml:1: nam: there is no such key; did you mean 'name'?",
        "c.toml:2: timezone: there is no time zone 'Europe/Berlim'",
        "c.toml:3: window: 'mo-fr'",
        "c.toml:3: window: '17-9'",
        "c.toml:8: holidays: '2026-13-01' is not a date",
        "c.toml:8: holidays: '5' is not a date",
        "c.toml:9: from: 'nobody'",
        "c.toml:9: from: a@example.org is named more than once",
        "c.toml:10: rotate: 'round' is not known; allowed: equal, owner, adder, weighted, capacity",
        "c.toml:11: weights: a@example.org: 0 is not a whole number from 1 to 1000",
        "c.toml:12: team: must be true or false, not a text",
        "c.toml:13: on_auto_reply: 'stop' is not known; allowed: wait, continue",
        "c.toml:15: steps[1].subject: is missing",
        "c.toml:16: steps[1].delay: '3' is not a duration",
        "bad.md:2: there is no filter 'nope'",
        "bad.md:3: '[a](…)': the address of a link or picture must begin",
        "c.toml:18: steps[1].text: stands beside 'body'",
        "c.toml:19: steps[1].attach: must be a list",
        "c.toml:20: steps[1].from: a step has its own sender only in a campaign without a rotation",
        "c.toml:22: steps[2].delay: is missing",
        "c.toml:23: steps[2].subject: '{{' has no '}}'",
        "c.toml:26: steps[2].text: a call is not available",
        "c.toml:28: steps[2].attach: 'gone.pdf' cannot be read: No such file",
        "c.toml:28: steps[2].attach: 18.0 MB together; at most 18 MB",
        "c.toml:29: steps[2].reply: there is no such key; allowed are delay, subject",
        "c.toml:31: steps[3].body: is missing",
        "c.toml:32: steps[3].delay: must be a text, not a number",
        "c.toml:33: steps[3].subject: must not be empty",
    ]
    for problem in problems:
        assert any(problem.startswith(start) for start in expected), problem
    assert len(problems) == len(expected)
    for start in expected:
        assert any(problem.startswith(start) for problem in problems), start


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('name = "x"\nname = "y"\n', "c.toml:2: "),
        ('name = "x\n', "c.toml:1: "),
        ("x = " + "[" * 5000 + "]" * 5000, "c.toml:1: "),
        ('name = "x"\n', "c.toml:1: steps: a campaign needs at least one"),
        ('name = "x"\nsteps = [1]\n', "c.toml:2: steps: a campaign needs"),
        (f'{SMALL}delay = "999999999w"', "c.toml:5: steps[1].delay: '999999999w' is too long"),
        (SMALL.replace('"x"', '"a\\nb"'), "c.toml:1: name: must be one line"),
        (SMALL.replace('"t"', '"{{ f() }}"'), "c.toml:4: steps[1].text: a call is not available"),
        (SMALL.replace('"t"', '"a\\n\\n{{ f() }}"'), "c.toml:4: steps[1].text: a call is not available"),
        (SMALL.replace('text = "t"', 'body = "none.md"'), "c.toml:4: steps[1].body: 'none.md' was not read"),
        (SMALL.replace('text = "t"', 'body = "latin.md"'), "latin.md:2: is not UTF-8"),
        (SMALL.replace('text = "t"', 'body = "empty.md"'), "c.toml:4: steps[1].body: 'empty.md' is empty"),
        ('holidays = "Germany"\n' + SMALL, "c.toml:1: holidays: 'Germany' names no holidays"),
        ("window = []\n" + SMALL, "c.toml:1: window: "),
        (SMALL + "[[steps]]\ndelay='1d'\ntext='x'\n" * 51, "c.toml:2: steps: 52 are too many"),
    ],
)
def test_d1_a_single_mistake_is_the_message(text: str, start: str) -> None:
    files: Files = {"latin.md": b"a\n\xfc", "empty.md": b" \n"}
    with pytest.raises(BadInput) as refusal:
        read_plan(text, "c.toml", files)
    assert refusal.value.message.startswith(start)
    assert refusal.value.problems == (refusal.value.message,)
    assert refusal.value.hint == Hint("correct the file, then run:", Command("campaign", "check", "c.toml"))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "3d", "a@example.org", "{{"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["days", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_KEYS = ["name", "timezone", "window", "holidays", "from", "rotate", "team", "on_auto_reply", "steps", "x"]
_STEP = st.dictionaries(st.sampled_from(["delay", "subject", "body", "text", "attach", "from"]), _VALUES)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else "2026-12-24" if value is None else str(value)


@given(st.dictionaries(st.sampled_from(_KEYS), _VALUES), st.lists(_STEP, max_size=2))
def test_d1_whatever_the_file_holds_is_a_plan_or_a_list_of_problems(
    top: dict[str, object], steps: list[dict[str, object]]
) -> None:
    text = "\n".join(f"{key} = {_toml(value)}" for key, value in {**top, "steps": steps}.items())
    files = dict.fromkeys(files_named(text), b"x")
    try:
        outcome: CampaignPlan | BadInput = read_plan(text, "c.toml", files)
    except BadInput as refusal:
        outcome = refusal
    if isinstance(outcome, CampaignPlan):
        assert outcome.steps
    else:
        assert outcome.problems
        assert all(problem.startswith("c.toml:") for problem in outcome.problems)


def test_keys_are_found_behind_texts_and_lists_of_many_lines() -> None:
    text = 'a = """\nb = 1\n[c]\n"""\nb = [\n 1,\n]\n'
    text += "[[s]]\nx.y = 1\n[[s]]\n\"z\" = '''\"\"\"'''\n[s.t]\nq = 1 # [[s]]\n"
    lines = key_lines(text)
    assert lines == {
        ("a",): 1,
        ("b",): 5,
        ("s",): 8,
        ("s", 0): 8,
        ("s", 0, "x", "y"): 9,
        ("s", 1): 10,
        ("s", 1, "z"): 11,
        ("s", 1, "t"): 12,
        ("s", 1, "t", "q"): 13,
    }
    assert line_of(("s", 1, "nothing"), lines) == 10
    assert line_of(("nothing",), lines) == 1


@pytest.mark.parametrize(
    ("lines", "rotation"),
    [
        ("", None),
        ("team = true", None),
        ('from = ["a@example.org", "b@example.org"]', Rotation.EQUAL),
        # In a team campaign people go to the mailboxes of the user who adds them, not to the owner's.
        ('from = ["a@example.org", "b@example.org"]\nteam = true', Rotation.ADDER),
        ('rotate = "owner"\nteam = true', Rotation.ADDER),
        ('rotate = "equal"\nteam = true', Rotation.EQUAL),
        ('rotate = "owner"', Rotation.OWNER),
        ('rotate = "capacity"', Rotation.CAPACITY),
        ('from = ["a@example.org", "b@example.org"]\nweights = { "A@example.org" = 3 }', Rotation.WEIGHTED),
    ],
)
def test_e2_the_rotation_follows_from_senders_team_and_weights(lines: str, rotation: Rotation | None) -> None:
    assert small(lines).rotation is rotation


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('weights = { "a@example.org" = 1001 }', "a@example.org: 1001 is not a whole number from 1 to 1000"),
        ('weights = { "a@example.org" = 1.5 }', "a@example.org: 1.5 is not a whole number from 1 to 1000"),
        ('weights = { "a@example.org" = true }', "a@example.org: True is not a whole number from 1 to 1000"),
        ("weights = 3", "must be a table, not a number"),
        ('rotate = "equal"\nweights = { "a@example.org" = 2 }', 'belong to rotate = "weighted", not to'),
        (
            'from = ["a@example.org", "b@example.org"]\nweights = { "c@example.org" = 2 }',
            "c@example.org has a weight but is not in 'from'",
        ),
    ],
)
def test_e2_weights_are_whole_numbers_for_senders_of_a_weighted_rotation(lines: str, problem: str) -> None:
    (found,) = problems_of(f"{lines}\n{SMALL}", FILES)
    assert f"weights: {problem}" in found
