"""The root command: global options, the list of nouns, and the one place where errors become words."""

import signal
import sys
from functools import cache
from typing import Annotated, Any, ClassVar

import typer

from mailrotate import __version__
from mailrotate.cli import completion, output, standard_output
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.grammar import GLOBAL_PANEL
from mailrotate.cli.lazy import HELP_NAMES, MARKUP, Lazy
from mailrotate.core.values.errors import MailrotateError

INTERRUPTED = 130


class _Root(Lazy):
    lines: ClassVar[dict[str, str]] = {
        "init": "Create the workspace; the first connect does it too.",
        "status": "Show whether it is sending, and if not, why.",
        "mailbox": "Connect, test and set up mailboxes.",
        "user": "Manage the users of a team and their roles.",
        "plan": "Show or change what the workspace allows.",
        "slot": "Manage how many mailboxes each user may connect.",
        "campaign": "Create, start, pause and stop campaigns.",
        "recipient": "Manage the recipients of campaigns.",
        "contact": "Manage contacts, their tags and timelines.",
        "grace": "Show and extend the deadlines of mailboxes that are away.",
        "outbox": "Show and manage messages: waiting, sent and failed.",
        "why": "Explain what holds something back, and until when.",
        "suppression": "Manage addresses that must never be written to again.",
        "limits": "Show or change the mail providers' limits.",
        "settings": "Show or change the workspace settings.",
        "webhook": "Tell other programs about events.",
        "run": "Send everything that is due, once or continuously.",
        "runner": "List the runners, and take the present clock.",
        "log": "Show the event log.",
        "secret": "Change the workspace key.",
        "db": "Check, back up, restore, adopt and upgrade the database.",
        "sandbox": "Run a local mail server for trying everything.",
        "demo": "Run a whole campaign on a sandbox, in a minute.",
        "help": "Show help for a command, or the list of exit statuses.",
    }

    def __init__(self, **settings: Any) -> None:
        super().__init__(home="mailrotate.cli", places=list(self.lines), **settings)


root = typer.Typer(
    cls=_Root,
    name="mailrotate",
    no_args_is_help=True,
    rich_markup_mode=MARKUP,
    context_settings=HELP_NAMES,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        output.Speech().line(f"mailrotate {__version__}")
        raise typer.Exit


def _global(*names: str, about: str, **settings: Any) -> Any:
    """A global option, allowed anywhere on the command line; `Call` stores its value."""
    return typer.Option(*names, help=about, rich_help_panel=GLOBAL_PANEL, expose_value=False, **settings)


@root.callback()
def start(
    ctx: typer.Context,
    db: Annotated[
        str | None, _global(about="The database: a path, or postgresql://….", metavar="DATABASE")
    ] = None,
    acting: Annotated[
        str | None,
        _global("--as", about="The user who acts.", metavar="USER", autocompletion=completion.actors),
    ] = None,
    as_json: Annotated[bool, _global("--json", about="One JSON document on standard output.")] = False,
    debug: Annotated[bool, _global("--debug", about="Show tracebacks.")] = False,
    no_color: Annotated[bool, _global("--no-color", about="Print without colours.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Send multi-step outreach from one mailbox or rotated over many.

    The global options may stand before or after the command.

    Examples:

      mailrotate demo

      mailrotate mailbox connect anna@example.org
    """
    ctx.call_on_close(call_of(ctx).close)


def main(arguments: list[str] | None = None) -> None:
    """Run one command line and end the process with its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        status = _run(given, Call())
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does; the interpreter must not flush into it again.
        standard_output.close()
        status = 128 + signal.SIGPIPE
    sys.exit(status)


@cache
def _program() -> Any:
    """Build the tree of commands, once in a process that runs several command lines."""
    return typer.main.get_command(root)


def _run(given: list[str], call: Call) -> int:
    try:
        ended: Any = _program().main(given, "mailrotate", standalone_mode=False, obj=call)
        # A full disk or a closed pipe must fail the command.
        sys.stdout.flush()
    except MailrotateError as error:
        call.trace(error)
        call.speech.error(error, call.in_zone)
        return error.exit_status
    except typer.TyperException as error:
        no_command = type(error).__name__ == "NoArgsIsHelpError"
        if no_command and not call.as_json:
            # The help itself is the message.
            call.speech.say(error.format_message())
        else:
            message = "Missing command." if no_command else error.format_message()
            call.speech.usage_error(message, getattr(error, "ctx", None))
        return error.exit_code
    except typer.Abort:
        call.speech.say("interrupted; nothing further was done")
        return INTERRUPTED
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001  the edge of the program: whatever it is becomes one sentence
        call.trace(error)
        unwritable = standard_output.find_trouble() if isinstance(error, OSError) else None
        if unwritable is None:
            call.speech.defect(error)
            return 1
        call.speech.error(unwritable)
        # The interpreter must not flush into it again: it would end with status 120.
        standard_output.close()
        return unwritable.exit_status
    return ended if isinstance(ended, int) else 0
