"""D1, I3: one Markdown source as HTML and as plain text, with values that stay text."""

from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailrotate.core.rules.markdown import Rich, render_markdown
from mailrotate.core.rules.marks import SIGNATURE
from mailrotate.core.rules.templates import merge

HOSTILE = (
    "http://evil.example",
    "www.evil.example",
    "![x](https://evil.example/y.png)",
    "[a](https://evil.example)",
    "<https://evil.example>",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "</p></body><a href='https://evil.example'>x</a>",
    "*a* _b_ `c` **d** # e",
    "# heading\n- list\n1. list\n> quote",
    "\\*not\\* &amp; &lt; &#42;",
    "a\n\n    code\n\n[x]: https://evil.example",
    '" onmouseover="alert(1)',
    "\ue0000\ue001 \ue002 \ue0040\ue001",
)


class Seen(HTMLParser):
    """The tags with their attributes, and the text, as a browser takes them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def both(template: str, **fields: str) -> Rich:
    merged = merge(template, fields)
    return render_markdown(merged.source, merged.values)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "template",
    [
        "{{ x }}",
        "Hi **{{ x }}**,\n\n- {{ x }}\n\n> {{ x }}",
        "{{ x }}: a\n\n    {{ x }}\n\n`{{ x }}` [{{ x }}] <{{ x }}>",
    ],
)
def test_i3_a_hostile_value_is_text_in_both_forms(template: str, value: str) -> None:
    rich = both(template, x=value)
    harmless = both(template, x="harmless")
    tags = [tag for tag, _ in Seen(rich.html).tags if tag != "br"]
    assert tags == [tag for tag, _ in Seen(harmless.html).tags if tag != "br"]
    assert not {"a", "img", "script", "h1"} & set(tags)
    assert value in rich.text
    assert " ".join(value.split()) in " ".join(Seen(rich.html).text.split())


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("<>&\"'[]()!*_`#\\\n:/")))
@example("javascript:alert(1)")
def test_i3_no_value_changes_the_structure_of_the_html(value: str) -> None:
    shown = '{{ x | d("-") }}'
    template = f'{shown} [a {shown}](https://us.example/{shown}?q={shown} "{shown}")'
    seen, plain = Seen(both(template, x=value).html), Seen(both(template, x="y").html)
    kept = [(tag, sorted(attributes)) for tag, attributes in seen.tags if tag != "br"]
    assert kept == [(tag, sorted(attributes)) for tag, attributes in plain.tags]
    (link,) = [attributes for tag, attributes in seen.tags if tag == "a"]
    href = link["href"]
    assert href is not None
    assert href.startswith("https://us.example/")
    assert href.count("/") == 3
    assert href.count("?") == href.count("=") == 1
    assert href.isascii()


def test_i3_a_value_in_a_link_is_percent_encoded_in_both_forms() -> None:
    rich = both("[us](https://x.example/{{ id }})", id='a b/?#&"é')
    assert '<a href="https://x.example/a%20b%2F%3F%23%26%22%C3%A9">us</a>' in rich.html
    assert rich.text == "us (https://x.example/a%20b%2F%3F%23%26%22%C3%A9)"


@pytest.mark.parametrize(
    "template",
    [
        "[us]({{ u }})",
        "[us](<{{ u }}>)",
        "[us][r]\n\n[r]: {{ u }}",
        "![us]({{ u }})",
        "<{{ u }}>",
        "[us](https://{{ u }})",
    ],
)
def test_i3_a_value_alone_is_no_address_of_a_link(template: str) -> None:
    tags = {tag for tag, _ in Seen(both(template, u="https://evil.example").html).tags}
    assert not tags & {"a", "img"}


@pytest.mark.parametrize(
    "address", ["javascript:x", "data:text/html,x", "file:///etc/passwd", "vbscript:x", "//x.org"]
)
def test_i3_an_author_can_link_to_the_web_mail_and_telephones_only(address: str) -> None:
    assert "<a" not in render_markdown(f"[x]({address})").html


def test_raw_html_of_the_author_is_text() -> None:
    assert "<b>" not in render_markdown("<b>x</b>\n\n<div>\ny\n</div>").html


def test_d1_markdown_reads_well_as_plain_text() -> None:
    source = """# Hello

A *word*, a **strong** one, `code` and a [link](https://x.example/a?b=ü).
Next line, <https://y.example> and [me@x.example](mailto:me@x.example)

- one
- two
  - inner

3. three

   more
4. four

> quoted
> twice

```
a <b>
```

---
![logo](https://x.example/l.png) \\*plain\\* &amp;"""
    assert (
        render_markdown(source).text
        == """Hello

A word, a strong one, code and a link (https://x.example/a?b=%C3%BC).
Next line, https://y.example and me@x.example

- one
- two
  - inner

3. three

   more

4. four

> quoted
> twice

    a <b>

--------------------

logo (https://x.example/l.png) *plain* &"""
    )


def test_a_line_end_is_a_line_end_in_both_forms() -> None:
    rich = both("Best\n{{ name }}", name="Ann\r\nBo\rCe")
    assert rich.html == "<p>Best<br />\nAnn<br />\nBo<br />\nCe</p>\n"
    assert rich.text == "Best\nAnn\nBo\nCe"


def test_a_piece_on_a_line_of_its_own_is_a_paragraph_and_elsewhere_part_of_one() -> None:
    pieces = {SIGNATURE: render_markdown("Ann\n\n*Acme*")}
    assert render_markdown(f"Bye\n{SIGNATURE}\nPS", (), pieces) == Rich(
        "<p>Bye</p>\n<p>Ann</p>\n<p><em>Acme</em></p>\n<p>PS</p>\n", "Bye\n\nAnn\n\nAcme\n\nPS"
    )
    assert render_markdown(f"Bye, {SIGNATURE}", (), pieces).html == "<p>Bye, Ann<br />\n<em>Acme</em></p>\n"


def test_a_mark_written_as_an_entity_stands_for_nothing() -> None:
    assert render_markdown("a&#xE000;7&#xE001;b &#xE000;99999999999999&#xE001;").text == "ab"
