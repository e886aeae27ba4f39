"""Text of strangers in JSON: whole for a script, and nothing that a terminal obeys."""

import json

from mailrotate.cli.output import as_json


def test_i3_json_holds_nothing_that_a_terminal_obeys() -> None:
    said = "\x1b[31m \x9b2J \x7f \u202egnp.exe \u2066x\u2069 und Grüße\n"
    written = as_json({"message": said})
    assert json.loads(written) == {"message": said}
    assert [character for character in written if not character.isprintable()] == []
    assert "Grüße" in written
