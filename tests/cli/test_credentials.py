"""Where passwords and servers come from: flags, files, the environment, the address (B1)."""

import io
from pathlib import Path

import pytest

from mailrotate.app import App, load_settings
from mailrotate.cli.credentials import find_servers, given_password, needed_password
from mailrotate.cli.output import Speech
from mailrotate.core.values.credential import Password
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.mail import Endpoint, ServerGuess
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Security


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> App:
    monkeypatch.setenv("MAILROTATE_DB", str(tmp_path / "workspace.db"))
    return App(load_settings())


def servers(app: App, address: str, **flags: str) -> ServerGuess:
    names = ("provider", "smtp", "imap", "security", "username")
    given: dict[str, str | None] = {name: flags.get(name) for name in names}
    return find_servers(app, address, **given)  # type: ignore[arg-type]  # flags by name


def test_b1_both_servers_named_need_no_question_to_anybody(app: App) -> None:
    found = servers(app, "anna@example.org", smtp="smtp.example.org:587", imap="imap.example.org:993")
    assert found == ServerGuess(
        "imap",
        Endpoint("smtp.example.org", 587, Security.STARTTLS),
        Endpoint("imap.example.org", 993, Security.TLS),
        "flags",
    )


def test_b1_a_flag_overrides_one_server_and_the_table_gives_the_other(app: App) -> None:
    found = servers(app, "anna@gmail.com", smtp="relay.example.org:465")
    assert (found.provider, found.source) == ("google", "table")
    assert found.smtp.host == "relay.example.org"
    assert found.imap.host == "imap.gmail.com"


def test_b1_a_named_provider_serves_domains_that_its_table_does_not_know(app: App) -> None:
    assert servers(app, "anna@example.org", provider="google").imap.host == "imap.gmail.com"
    assert servers(app, "anna@example.org", provider="microsoft").smtp.host == "smtp.office365.com"
    assert servers(app, "anna@outlook.com", provider="microsoft").smtp.host == "smtp-mail.outlook.com"


def test_b1_an_unknown_provider_is_told_the_known_ones(app: App) -> None:
    with pytest.raises(BadInput) as unknown:
        servers(app, "anna@gmail.com", provider="gmale")
    assert unknown.value.code == "provider.unknown"
    assert "google" in unknown.value.message


def test_a_password_file_gives_its_first_line_without_its_end(app: App, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b" with spaces \r\nmore\n")
    assert given_password(app, False, file) == Password(Secret(" with spaces "))


def test_a_password_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, app: App) -> None:
    monkeypatch.setenv("MAILROTATE_PASSWORD", "from-there")
    assert given_password(App(load_settings()), False, None) == Password(Secret("from-there"))
    assert given_password(app, False, None) is None


@pytest.mark.parametrize("ends", ["\r", "\n", "\r\n", "\0"])
def test_i1_a_password_of_two_lines_reaches_no_server(
    monkeypatch: pytest.MonkeyPatch, app: App, ends: str
) -> None:
    monkeypatch.setitem(app.settings.environment, "MAILROTATE_PASSWORD", f"first{ends}A1 SECOND")  # type: ignore[arg-type]
    with pytest.raises(BadInput) as refused:
        given_password(app, False, None)
    assert refused.value.code == "password.lines"
    assert "first" not in refused.value.message


def test_standard_input_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILROTATE_PASSWORD", "from-there")
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    assert given_password(App(load_settings()), True, None) == Password(Secret("typed"))


@pytest.mark.parametrize(("content", "code"), [("", "password.empty"), (None, "password.unreadable")])
def test_a_password_that_is_not_there_is_refused(
    app: App, tmp_path: Path, content: str | None, code: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BadInput) as refused:
        given_password(app, False, file)
    assert refused.value.code == code


def test_two_places_for_a_password_are_one_too_many(app: App, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        given_password(app, True, tmp_path / "password")
    assert refused.value.code == "password.twice"


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, app: App) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("not a terminal\n"))
    with pytest.raises(BadInput) as refused:
        needed_password(app, Speech(), "anna@example.org", False, None)
    assert refused.value.code == "password.none"
    assert "--password-stdin" in str(refused.value.hint)
