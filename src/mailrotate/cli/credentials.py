"""Servers and passwords as people give them: flags, standard input, a file, the environment, a prompt.

A password is never an argument: arguments show in the process list.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import Call
from mailrotate.cli.output import Speech, is_terminal
from mailrotate.cli.params import read_flag
from mailrotate.core.values.credential import Password
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Security

if TYPE_CHECKING:
    from mailrotate.app import App
    from mailrotate.core.services.mailboxes.reconnecting import LoginChange
    from mailrotate.core.values.mail import CheckStep, Endpoint, ServerGuess

_VARIABLE = "MAILROTATE_PASSWORD"
_LONGEST = 4096

SmtpServer = Annotated[str | None, typer.Option("--smtp", metavar="HOST:PORT", help="The SMTP server.")]
ImapServer = Annotated[str | None, typer.Option("--imap", metavar="HOST:PORT", help="The IMAP server.")]
ServerSecurity = Annotated[
    Security | None, typer.Option("--security", help="How both are encrypted; none only on this machine.")
]
Username = Annotated[str | None, typer.Option("--username", help="The login name, when not the address.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="Read the password from a file.")
]


def given_password(app: "App", from_stdin: bool, file: Path | None) -> Password | None:
    """The password from wherever the caller has put it; None when nowhere. Raises BadInput."""
    if from_stdin and file is not None:
        raise BadInput("password.twice", "--password-stdin and --password-file exclude each other")
    if from_stdin:
        typed = sys.stdin.readline(_LONGEST) if not is_terminal(sys.stdin) else None
        return _password(typed, "--password-stdin")
    if file is not None:
        try:
            with file.open(encoding="utf-8") as content:
                return _password(content.readline(_LONGEST), f"--password-file {file}")
        except (OSError, UnicodeDecodeError) as trouble:
            words = trouble.strerror if isinstance(trouble, OSError) else "it is not UTF-8 text"
            raise BadInput("password.unreadable", f"--password-file: cannot read {file}: {words}") from None
    text = app.settings.environment.get(_VARIABLE)
    return None if text is None else _password(text, _VARIABLE)


def needed_password(
    app: "App", speech: Speech, address: str, from_stdin: bool, file: Path | None
) -> Password:
    """Read the password, or prompt for it on a terminal. Raises BadInput (`password.none`)."""
    if not (from_stdin and is_terminal(sys.stdin)):
        found = given_password(app, from_stdin, file)
        if found is not None:
            return found
    typed = speech.ask_secret(f"password of {address}")
    if typed is None:
        raise BadInput(
            "password.none",
            f"no password for {address}, and no terminal to ask for one",
            f"add --password-stdin or --password-file FILE, or set {_VARIABLE}",
        )
    return _password(typed, "the prompt")


def _password(text: str | None, source: str) -> Password:
    password = (text or "").rstrip("\r\n")
    if not password:
        raise BadInput(
            "password.empty",
            f"{source}: the password is empty",
            "give it in one line: --password-stdin or --password-file FILE",
        )
    if any(ends in password for ends in "\r\n\0"):
        # Its rest would reach the server as a line of its own, and be said again in what it answers.
        raise BadInput(
            "password.lines",
            f"{source}: the password contains a line break",
            "give it in one line: --password-stdin or --password-file FILE",
        )
    return Password(Secret(password))


def find_servers(
    app: "App",
    address: str,
    *,
    provider: str | None,
    smtp: str | None,
    imap: str | None,
    security: Security | None,
    username: str | None,
    known: "ServerGuess | None" = None,
) -> "ServerGuess":
    """What the flags say, and for what they leave out what was known or what the address tells (B1)."""
    from mailrotate.core.services.mailboxes.reconnecting import secured
    from mailrotate.core.values.mail import ServerGuess
    from mailrotate.providers.discovery import servers_of
    from mailrotate.providers.registry import PROVIDERS

    if provider is not None and provider not in PROVIDERS:
        raise BadInput("provider.unknown", f"unknown provider '{provider}'; known: {', '.join(PROVIDERS)}")
    username = _username(username)
    named_smtp, named_imap = _endpoint("--smtp", smtp, security), _endpoint("--imap", imap, security)
    if named_smtp and named_imap:
        return ServerGuess(provider or "imap", named_smtp, named_imap, "flags", username)
    guess = (servers_of(provider, address) if provider else known) or app.find_servers(address)
    return replace(
        guess,
        provider=provider or guess.provider,
        smtp=named_smtp or secured(guess.smtp, security),
        imap=named_imap or secured(guess.imap, security),
        username=username or guess.username,
    )


def login_change(
    *,
    smtp: str | None,
    imap: str | None,
    security: Security | None,
    username: str | None,
) -> "LoginChange":
    from mailrotate.core.services.mailboxes.reconnecting import LoginChange
    from mailrotate.providers.discovery import says_security

    smtp_server, imap_server = _endpoint("--smtp", smtp, security), _endpoint("--imap", imap, security)
    kept = [
        name
        for name, server in (("smtp", smtp_server), ("imap", imap_server))
        if server is not None and security is None and not says_security(server.port)
    ]
    return LoginChange(smtp_server, imap_server, security, _username(username), keep_security=kept)


def _endpoint(flag: str, text: str | None, security: Security | None) -> "Endpoint | None":
    from mailrotate.providers.discovery import parse_endpoint

    return None if text is None else read_flag(flag, text, lambda given: parse_endpoint(given, security))


def _username(text: str | None) -> str | None:
    """Check that a login name is one printable line. Raises BadInput (`username.invalid`)."""
    if text is not None and not (text.strip() and text.isprintable()):
        raise BadInput(
            "username.invalid", f"--username: {text!r} is not a login name", "write it like --username anna"
        )
    return text


def show_step(speech: Speech, step: "CheckStep") -> None:
    """One line for each step of a login, in the server's own words."""
    passed = "ok" if step.passed else "FAILED"
    speech.say(f"  {step.service:<5} {step.step:<10} {passed:<6}  {step.message}")


def server_words(server: "Endpoint") -> str:
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{host}:{server.port} ({server.security})"


def ask_for_new_key(call: Call, *, yes: bool) -> bool:
    """Whether a lost workspace key is to be replaced; ends the command when the answer is no (I1)."""
    lost = call.app.lost_key()
    if lost is None:
        return False
    consequences = [
        lost.message,
        "If you have a copy of the key, put it back instead of going on.",
        "Otherwise a new key is used from now on. The passwords of the other mailboxes and those in backups "
        "were sealed with the lost one: reconnect each of these mailboxes too.",
    ]
    if not call.speech.confirm(consequences, "Use a new key?", yes=yes, dry_run=False):
        raise typer.Exit
    return True
