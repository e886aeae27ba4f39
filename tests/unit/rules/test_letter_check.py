"""D1: what an author is told of a text before it is sent, with the line."""

import time

import pytest

from mailrotate.core.rules.field_names import ColumnChoice, name_columns
from mailrotate.core.rules.letter_check import Kind, check_text
from mailrotate.core.rules.markdown import render_markdown
from mailrotate.core.values.letter import LONGEST_TEMPLATE


def told(text: str, kind: Kind = Kind.BODY) -> list[tuple[int, bool]]:
    return [(problem.line, problem.is_mistake) for problem in check_text(text, kind)]


def words(text: str, kind: Kind = Kind.BODY) -> str:
    (problem,) = check_text(text, kind)
    return problem.message


@pytest.mark.parametrize("fields", [51, 200, 3000])
def test_d1_a_text_too_deep_to_be_sent_from_everywhere_is_a_mistake(fields: int) -> None:
    assert words(f"{{{{ {' + '.join(['name'] * fields)} }}}}") == "is nested too deeply"


def test_d1_a_text_of_many_branches_and_pieces_is_not_deep() -> None:
    branches = "".join(f'{{% elif name == "{number}" %}}{number}' for number in range(200))
    assert (
        told(f'{{% if name == "a" %}}a{branches}{{% endif %}}{" ~ ".join(["{{ name"] + ["name"] * 200)} }}}}')
        == []
    )


LINKS_THAT_ARE_NONE = """Read [our page][1] or [this][p].
Call [us](tel:+49 30 123456). Read [that](https://example.org/a b). Read [page] (https://example.org).

[1]: www.example.org
[p]: {{ link }}
"""


def test_row_14_each_link_that_is_none_is_a_mistake_with_its_line() -> None:
    assert [line for line, is_mistake in told(LINKS_THAT_ARE_NONE) if is_mistake] == [1, 1, 2, 2, 2, 4, 5]
    said = [problem.message for problem in check_text(LINKS_THAT_ARE_NONE, Kind.BODY)]
    assert "there is no usable line '[1]: https://…'" in said[0]
    assert sum("cannot hold a blank" in one for one in said) == 2
    assert any("between the words of a link and its address" in one for one in said)
    assert any("write https://www.example.org" in one for one in said)


@pytest.mark.parametrize(
    "text",
    [
        "(our page)[https://example.org]",
        "see <www.example.org>",
        "[a](https://example.org",
        "> - [deep](example.org)",
        "[**bold** words](example.org)",
        "[two\nlines](example.org)",
        "[![logo](logo.png)](https://example.org)",
        "![logo](cid:logo)",
        "[x](https:/example.org)",
        "[x]({{ base }}/path)",
        "{% if vip is defined %}[x](https://example.org){% else %}[x](example.org){% endif %}",
        "[x](<https://example.org>",
        "[page][]",
        "[us] (www.example.org)",
        "[x]: ftp://example.org",
    ],
)
def test_what_looks_like_a_link_and_becomes_none_is_a_mistake(text: str) -> None:
    found = check_text(text, Kind.BODY)
    assert found
    assert all(problem.is_mistake for problem in found)


@pytest.mark.parametrize(
    "text",
    [
        "[x](https://example.org/{{ id }}) [y](mailto:a@example.org) [z](tel:+4930123456)",
        "<https://example.org> <anna@example.org> https://example.org www.example.org",
        "[page][1] [1]\n\n[1]: https://example.org",
        r"\[x](y) and `[x](y)`" + "\n\n    [x](y)\n",
        "[sic] (page 5), [Your name], f[0][1], [1] https://example.org",
        "[Note]: please read this",
        "1 < 2 > 0, a <- b, x|y, I <3 you",
        "{{ signature }}\n{{ unsubscribe }}",
        '{{ first_name | default("there") }}, {# a note #}{% raw %}{{ x y }}{% endraw %}',
    ],
)
def test_what_arrives_as_it_is_written_is_not_mentioned(text: str) -> None:
    assert check_text(text, Kind.BODY) == []


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("Hi\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", 3, "table"),
        ("a | b\n--|--\n1 | 2", 1, "table"),
        ("Hi\nsome <b>bold</b> words", 2, "HTML"),
        ("Hi\n\n<div>\nx\n</div>", 3, "HTML"),
        ("Hi<br>\nyou", 1, "HTML"),
        ("Hi\n\n- x\n- <!-- a note -->", 4, "HTML"),
        ('<a href="https://example.org/{{ id }}">x</a>', 1, "HTML"),
        ("Hi\n~~gone~~", 2, "~~"),
    ],
)
def test_tables_and_html_are_mistakes_with_their_line(text: str, line: int, word: str) -> None:
    (problem,) = check_text(text, Kind.BODY)
    assert (problem.line, problem.is_mistake) == (line, True)
    assert word in problem.message


def test_tables_and_html_are_named_also_beside_a_placeholder_that_cannot_be_read() -> None:
    text = "Hi {{ first name }},\n\n| a | b |\n|---|---|\n\n{{ city\n}} and <b>you</b>\n"
    assert _told(text) == [(1, "write"), (3, "table"), (7, "HTML")]


def _told(text: str) -> list[tuple[int, str]]:
    kinds = ("table", "HTML", "write")
    return [
        (problem.line, next(kind for kind in kinds if kind in problem.message))
        for problem in check_text(text, Kind.BODY)
    ]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("tag", ["{% ", "{%" + " " * 9_999])
def test_f4_tags_without_end_are_refused_however_many_there_are(tag: str) -> None:
    """A search that begins anew at each of them would take minutes."""
    text = (tag * LONGEST_TEMPLATE)[:LONGEST_TEMPLATE]
    assert "'{% %}' is empty" in words(text, Kind.BODY)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("{{ first name }}", "write {{ first_name }}"),
        ("{{ 2nd_line }}", "write {{ field_2nd_line }}"),
        ("{{ first-name }}", "write {{ first_name }}"),
        ("{{ First Name | upper }}", "write {{ first_name | upper }}"),
        ("{{ contact.city }}", "write {{ contact_city }}"),
        ("{{ not }}", "write {{ field_not }}"),
        ("{{ none }}", "'none' cannot be the name of a field; write {{ field_none }}"),
        ("{{ }}", "like {{ first_name }}"),
        ("{{ name", "has no '}}'"),
        ("{{ name }", "has no '}}'"),
    ],
)
def test_d1_an_unusable_placeholder_is_a_mistake_with_its_line_and_the_fix(text: str, fix: str) -> None:
    for kind in (Kind.BODY, Kind.SUBJECT):
        assert fix in words(text, kind)
    assert told(f"Hi\n\n{text}\n") == [(3, True)]


def test_d1_every_unusable_placeholder_is_named() -> None:
    assert told("{{ a b }}\n{# {{ c d }} #}\n{{ 1st }} {{ ok }}\n{{ e f }}") == [
        (1, True), (3, True), (4, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "header", ["2nd line", "_2nd_line", "None", "not", "self", "first-name", "First  Name", "1.", "no: 7"]
)
def test_a_placeholder_and_a_column_with_the_same_words_have_the_same_field(header: str) -> None:
    (name,) = name_columns([header, "email"], ColumnChoice()).names[:1]
    assert words(f"{{{{ {header} }}}}").endswith(f"write {{{{ {name} }}}}")
    assert told(f"{{{{ {name} }}}}") == [], "and that name is right"


@pytest.mark.parametrize(
    ("text", "fix"),
    [("{{ Signature }}", "signature"), ("{{ Sender Name }}", "sender_name"), ("{{ Email }}", "email")],
)
def test_what_every_letter_has_keeps_its_name_in_a_template(text: str, fix: str) -> None:
    assert words(text).endswith(f"write {{{{ {fix} }}}}")


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("{{ _2nd_line }}", "write {{ field_2nd_line }}"),
        ("{{ first__name }}", "write {{ first_name }}"),
        ("{{ name_ }}", "write {{ name }}"),
        ("{% if _city is defined %}x{% endif %}", "write {{ city }}"),
    ],
)
def test_a_name_that_no_column_can_have_is_a_warning_with_the_one_it_has(text: str, fix: str) -> None:
    assert told(text) == [(1, False)]
    assert words(text).endswith(fix)


@pytest.mark.parametrize("text", ["Hi {first_name}", "Hi { first_name }", "{{ Company }}"])
def test_a_placeholder_that_may_not_be_meant_is_a_warning(text: str) -> None:
    assert told(f"Hi\n{text}") == [(2, False)]
    assert told(text, Kind.SUBJECT) == [(1, False)]


@pytest.mark.parametrize(
    ("text", "written"),
    [("file __init__ is", r"\_\_init\_\_"), ("un**be**lievable", r"\*")],
)
def test_row_16_emphasis_that_eats_characters_of_words_is_a_warning(text: str, written: str) -> None:
    (problem,) = check_text(f"Hi\n\n{text}", Kind.BODY)
    assert (problem.line, problem.is_mistake) == (3, False)
    assert written in problem.message


def test_an_address_that_no_link_uses_is_a_warning() -> None:
    assert told("Hi [x]\n\n[x]: https://example.org\n[y]: https://example.org") == [(4, False)]


SIGNATURE = "Anna {{ first_name }}\n[site](www.example.org)\n![logo](logo.png)\n<b>Anna</b>\n"


def test_row_13_a_signature_is_checked_like_a_body() -> None:
    assert told(SIGNATURE, Kind.SIGNATURE) == [(1, True), (2, True), (3, True), (4, True)]


@pytest.mark.parametrize(
    "text",
    [
        "{{ sender_name }} {{ sender_first_name }} {{ sender_email }} {{ email }}",
        '{{ company | default("") }}',
        "{% if company is defined %}{{ company }}{% endif %}",
    ],
)
def test_a_signature_shows_what_every_letter_has_and_fields_with_a_fallback(text: str) -> None:
    assert check_text(text, Kind.SIGNATURE) == []


@pytest.mark.parametrize("text", ["{{ signature }}", "{{ unsubscribe }}", "{{ a | upper }}", "{{ a b }}"])
def test_a_signature_that_could_fail_for_a_recipient_is_a_mistake(text: str) -> None:
    assert told(f"Anna\n{text}", Kind.SIGNATURE) == [(2, True)]


@pytest.mark.parametrize("between", ["\x0b", "\x0c", "\x1b[", "\u2028", "\r\n", "\r"])
def test_row_21_a_line_is_counted_as_an_editor_counts_it(between: str) -> None:
    before = between.count("\r") + 1
    assert told(f"Hello{between}next\n[x](foo)") == [(before + 1, True)]


def test_lines_are_those_of_the_file_whatever_the_template_leaves_out() -> None:
    text = "{% if a is defined %}\n[x](foo)\n{%- else %}\n\n[y](bar)\n{% endif %}\n{# \n #}z\n\n[w](baz)"
    assert [line for line, _ in told(text)] == [2, 5, 10]


@pytest.mark.parametrize(
    "part",
    [
        "[a](", "[a][b]", "](", "<a ", "{{a b}}", "[x]: y\n", "*a*", "<", "{", "{{", "{# ", "> ", "- ",
        "{{ a }}", "[![a](b)", "&#x", "~~a", "<!--", "a@", "www.", "`", "\\", "_a", "a\n-\n", "|a",
    ],
)  # fmt: skip
def test_i3_the_time_a_check_takes_grows_with_the_text_and_no_faster(part: str) -> None:
    def seconds(length: int) -> float:
        text = (part * length)[:length]
        began = time.process_time()
        check_text(text, Kind.BODY)
        return time.process_time() - began

    small, large = seconds(LONGEST_TEMPLATE // 40), seconds(LONGEST_TEMPLATE // 5)
    assert large < 40 * small + 0.5


def test_i3_a_text_beyond_the_limit_is_not_read() -> None:
    assert words("[a](" * LONGEST_TEMPLATE) == f"longer than {LONGEST_TEMPLATE} characters"


@pytest.mark.parametrize(
    "text",
    [
        "See https://example.org/_foo_/bar and 10*20*30 cm, file __init__.py",
        "https://example.org/*/x/*/y",
        "_anna_@example.org",
        "https://example.org/?a=1&copy;=2, www.example.org/_x_",
        "src/*/x/*/y, src/**/x/**/y and **/*.md",
        "5*3=15*1, 2**10 and 3**4",
        "Price (*) and (*), \"*\" and '*'",
        "_private_var, snake_case_name, /_foo_/bar",
        "@_anna_ and #_x_y",
        "mailto:_a_@example.org and example.org/_foo_/bar",
    ],
)
def test_row_16_bare_text_stays_as_it_is_written(text: str) -> None:
    rich = render_markdown(text)
    assert rich.text == text
    assert "<em>" not in rich.html
    assert "<strong>" not in rich.html
    assert check_text(text, Kind.BODY) == []


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("*a* _b_ **c** __d e__ ***f***", "a b c d e f"),
        ("_either_/_or_, (*both*), *x*.", "either/or, (both), x."),
        ("**https://example.org/a** _anna@example.org_", "https://example.org/a anna@example.org"),
        ("*see https://example.org/a*", "see https://example.org/a"),
        ("un**be**lievable", "unbelievable"),
    ],
)
def test_emphasis_around_words_stays_emphasis(text: str, plain: str) -> None:
    assert render_markdown(text).text == plain


@pytest.mark.parametrize("underline", ["-- ", "--", "-----", "===", "="])
def test_row_15_a_letter_has_no_headings_by_underlining(underline: str) -> None:
    html = render_markdown(f"Looking forward to it.\n{underline}\nAnna").html
    assert "<h" not in html.replace("<hr", "")
    assert "Looking forward to it." in html


def test_row_15_the_line_above_a_signature_keeps_its_blank() -> None:
    assert render_markdown("Looking forward to it.\n-- \nAnna").text == "Looking forward to it.\n-- \nAnna"
