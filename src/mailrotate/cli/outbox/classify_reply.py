"""`mailrotate outbox classify-reply`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.core.values.errors import BadInput

_PHASES = "connect|auth|mail|rcpt|data|dot"
_PROVIDERS = "google|microsoft|imap"


def classify_reply(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(help="The server's answer, like '550 5.1.1 No such user'.")],
    phase: Annotated[
        str,
        typer.Option(
            metavar=_PHASES,
            help="Phase in which the server answered.",
            autocompletion=completion.values(_PHASES),
        ),
    ] = "data",
    provider: Annotated[
        str,
        typer.Option(
            metavar=_PROVIDERS,
            help="Provider of the sending mailbox.",
            autocompletion=completion.values(_PROVIDERS),
        ),
    ] = "imap",
) -> None:
    """Classify a server's answer: what it means, who is concerned, and what to do. Needs no database.

    Examples:

      mailrotate outbox classify-reply "550 5.1.1 No such user" --phase rcpt

      mailrotate outbox classify-reply "535 5.7.8 Bad credentials" --phase auth --json
    """
    from mailrotate.core.rules.replies import classify, parse_reply
    from mailrotate.core.values.states import Phase

    speech = call_of(ctx).speech
    if phase not in set(Phase):
        raise BadInput("reply.phase", f"'{phase}' is not a phase; known: {', '.join(Phase)}")
    verdict = classify(parse_reply(text, Phase(phase)), provider)
    answer = {
        "class": verdict.reply_class,
        "who": verdict.who,
        "code": verdict.code,
        "enhanced": verdict.enhanced,
        "hint": verdict.hint,
        "rule": verdict.rule,
        "hold_for": verdict.hold_for,
    }
    if speech.as_json:
        speech.document(answer)
    else:
        speech.facts((name.replace("_", " "), value) for name, value in answer.items() if value is not None)
