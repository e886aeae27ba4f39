"""D1, I3: what a template may hold, what it needs, and that a value can only ever be text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.rules.letter_check import Kind, check_text
from mailrotate.core.rules.marks import fill_plainly
from mailrotate.core.rules.template_language import language_problems
from mailrotate.core.rules.templates import (
    MissingField,
    fields_needed,
    merge,
    merge_subject,
    missing_fields,
)
from mailrotate.core.values.letter import LONGEST_TEMPLATE, LONGEST_TEXT, UnfitLetter


def rendered(text: str, **fields: object) -> str:
    merged = merge(text, fields)
    return fill_plainly(merged.source, merged.values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi {{ first_name }}!", "Hi Ann!"),
        ('{{ nick | default("there") }}', "there"),
        ('{{ blank | default("there") }}', "there"),
        ("{{ first_name | upper }}", "ANN"),
        ('{% if city == "Berlin" %}B{% else %}other{% endif %}', "B"),
        ('{{ "du" if city in ["Berlin", "Bonn"] else "Sie" }}', "du"),
        ("{% if nick is defined %}{{ nick }}{% endif %}.", "."),
        ("{{ first_name ~ ' of ' + city }}", "Ann of Berlin"),
        ("{{ number }}", "7"),
        ("{# a note #}{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
    ],
)
def test_d1_fields_filters_and_conditions_see_real_text(text: str, expected: str) -> None:
    assert check_text(text, Kind.BODY) == []
    assert rendered(text, first_name="Ann", city="Berlin", blank="  ", number=7) == expected


@pytest.mark.parametrize("fields", [{}, {"company": ""}, {"company": " \n"}, {"company": None}])
@pytest.mark.parametrize(
    "text",
    ["{{ company }}", "{{ company | title }}", '{% if company == "x" %}y{% endif %}', "{{ company ~ 1 }}"],
)
def test_d1_a_missing_or_blank_field_without_fallback_is_never_a_hole(
    text: str, fields: dict[str, object]
) -> None:
    with pytest.raises(MissingField) as hole:
        merge(text, fields)
    assert hole.value.name == "company"
    assert "'company'" in str(hole.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 10**9 }}",
        "{{ x * 9999999 }}",
        "{{ 2 ** 99999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{% for i in range(10) %}x{% endfor %}",
        "{% for c in name %}{{ c }}{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'x' %}",
        "{% macro m() %}x{% endmacro %}",
        "{% set x = 1 %}",
        "{% block b %}x{% endblock %}",
        "{{ name.__class__.__mro__ }}",
        "{{ name['__class__'] }}",
        "{{ name.format(name) }}",
        "{{ name.center(999999999) }}",
        "{{ cycler('a') }}",
        "{{ name | center(999999999) }}",
        "{{ name | attr('__class__') }}",
        "{{ '{}' | format(name) }}",
        "{{ name | safe }}",
        "{{ name | escape }}",
        "{{ self }}",
        "{{ x if y }}",
        "{{ signature | upper }}",
        "{% if unsubscribe %}x{% endif %}",
        "{{ name",
        "{% if name %}",
        "{{ " + "(" * 3000 + "name" + ")" * 3000 + " }}",
        "{% if a is defined %}" * 150 + "{% endif %}" * 150,
        "\ue000" + "0\ue001",
        "x" * (LONGEST_TEMPLATE + 1),
    ],
)
def test_i3_what_could_run_read_or_grow_is_refused_before_it_runs(text: str) -> None:
    assert check_text(text, Kind.BODY)
    with pytest.raises(UnfitLetter):
        merge(text, {"name": "Ann", "x": "x"})


def test_d1_every_problem_is_named_with_its_line() -> None:
    text = (
        "Hi {{ name | nope }}\n\n{{ f() }}\n[us]({{ url }}) [you](example.org)\n[ok](https://x.org/{{ n }})"
    )
    assert [problem.line for problem in check_text(text, Kind.BODY)] == [1, 3, 4, 4]
    assert "there is no filter 'nope'; allowed are" in check_text(text, Kind.BODY)[0].message


@pytest.mark.parametrize("name", ["signature", "unsubscribe"])
def test_the_pieces_of_a_letter_have_no_place_in_a_subject(name: str) -> None:
    assert check_text(f"About {{{{ {name} }}}}", Kind.SUBJECT)
    assert check_text(f"About {{{{ {name} }}}}", Kind.BODY) == []


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("{{ a }} {{ b | upper }}", {"a", "b"}),
        ('{{ a | default("x") }} {{ a }}', {"a"}),
        ('{{ a | default("x") | upper }}', set()),
        ('{{ a | upper | default("x") }}', {"a"}),
        ('{{ a | default(b) | d("x") }}', {"b"}),
        ('{{ (a if b is defined else c) | default("x") }}', {"a", "c"}),
        ("{% if a is defined %}{{ a }}{% endif %}", set()),
        ("{% if a is undefined %}none{% else %}{{ a }}{% endif %}", set()),
        ("{% if not a is defined %}{{ a }}{% endif %}", {"a"}),
        ("{% if a is defined and a == b %}{{ a }}{% endif %}", {"b"}),
        ("{% if a is defined or b is defined %}{{ a }}{% endif %}", {"a"}),
        ("{% if a is undefined or a == '1' %}x{% else %}{{ a }}{% endif %}", set()),
        ("{% if a is undefined %}x{% elif a == b %}{{ c }}{% else %}{{ a }}{% endif %}", {"b", "c"}),
        ("{% if a == 'x' %}{{ b }}{% else %}{{ c }}{% endif %}", {"a", "b", "c"}),
        ("{{ a if a is defined else b }}", {"b"}),
        ("{{ signature }}{{ unsubscribe }}", set()),
    ],
)
def test_d1_a_field_is_optional_only_where_a_fallback_catches_it(text: str, needed: set[str]) -> None:
    assert fields_needed(text) == needed


_NAMES = st.sampled_from(["a", "b", "c"])
_OUTPUTS = st.one_of(
    _NAMES.map("{{{{ {} }}}}".format),
    _NAMES.map('{{{{ {}|default("x") }}}}'.format),
    st.tuples(_NAMES, _NAMES).map(lambda two: f'{{{{ {two[0]}|default({two[1]})|default("x") }}}}'),
)


def _conditional(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    asks = st.tuples(
        _NAMES, st.sampled_from(["{} is defined", "not {} is defined", "{} is undefined", "{} == '1'"])
    )
    asked = asks.map(lambda ask: ask[1].format(ask[0]))
    joined = st.tuples(asked, st.sampled_from([" and ", " or "]), asked).map("".join)
    return st.tuples(asked | joined, inner, inner).map(
        lambda three: f"{{% if {three[0]} %}}{three[1]}{{% else %}}{three[2]}{{% endif %}}"
    )


@given(
    st.recursive(
        _OUTPUTS, lambda inner: _conditional(inner) | st.tuples(inner, inner).map("".join), max_leaves=6
    ),
    st.dictionaries(_NAMES, st.sampled_from(["1", "2"])),
)
def test_d1_who_has_the_needed_fields_never_lacks_one(text: str, fields: dict[str, str]) -> None:
    if not missing_fields(fields_needed(text), fields):
        merge(text, fields)


def test_missing_fields_counts_blank_ones_and_no_pieces() -> None:
    assert missing_fields({"a", "b", "c", "signature"}, {"a": "x", "b": " "}) == ["b", "c"]


@pytest.mark.parametrize("text", ["{{ name < 3 }}", "{{ name + 1 }}", "{{ name | truncate(1) }}"])
def test_what_fails_only_with_a_value_is_an_unfit_letter(text: str) -> None:
    with pytest.raises(UnfitLetter):
        merge(text, {"name": "Ann"})


def test_i3_the_text_with_its_fields_has_a_limit() -> None:
    with pytest.raises(UnfitLetter, match=str(LONGEST_TEXT)):
        merge("{{ a }}" * 3, {"a": "x" * (LONGEST_TEXT // 2)})


@given(st.text().filter(lambda value: not missing_fields(["x"], {"x": value})))
def test_i3_a_value_is_kept_apart_from_the_source(value: str) -> None:
    assert merge("a {{ x }} b", {"x": value}).source == merge("a {{ x }} b", {"x": "other"}).source


@given(st.text(st.characters() | st.sampled_from("\r\n\x00\x0b\x85\u2028\ud800")))
def test_i3_a_subject_is_one_line_whatever_the_value(value: str) -> None:
    subject = merge_subject("Hi {{ x | default('-') }} there\nyou", {"x": value})
    assert subject.splitlines() == [subject]
    assert subject.isprintable() or not set(subject) & set("\r\n\0")
    assert subject.encode()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("Hi\n{% if company %}you\n\nBye", 2, "'{% if %}' has no '{% endif %}'"),
        ("{% if a %}x{% endif %}\n{# {% if #}\n{%- if b %}\n\nBye", 3, "'{% if %}' has no '{% endif %}'"),
        ("Hi\n{% endif %}", 2, "'{% endif %}' has no '{% if … %}' before it"),
        ("{% else %}", 1, "'{% else %}' has no '{% if … %}' before it"),
        ("{% if a %}b{% end %}", 1, "'{% end %}' stands where '{% endif %}' must be"),
        ("Hi\n{% for a in b %}", 2, "'{% for %}' is not available in a letter; "),
        (
            "{% if a %}{% include 'x' %}{% nope %}{% endif %}",
            1,
            "'{% nope %}' is not available in a letter; ",
        ),
        ("Hi\n{% if a = 1 %}b{% endif %}", 2, "'{% if a = 1 %}' cannot be read; a condition looks like"),
        ("{% if a %}b{% elif %}c{% endif %}", 1, "'{% elif %}' cannot be read; "),
        ("{% if a", 1, "'{%' has no '%}'"),
        ("{# a", 1, "'{#' has no '#}'"),
        ("{% raw %}a", 1, "'{% raw %}' has no '{% endraw %}'"),
    ],
)
def test_d1_a_mistake_in_a_tag_is_told_in_words_with_the_line_of_the_tag(
    text: str, line: int, words: str
) -> None:
    (problem,) = language_problems(text)
    assert problem.line == line
    assert problem.message.startswith(words)
    assert "Jinja" not in problem.message
