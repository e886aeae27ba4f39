"""`mailrotate secret`: the key that the passwords are sealed with."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import counted

app = noun("The workspace's key.")


@app.callback()
def secret() -> None:
    """The workspace's key."""


@app.command()
def rekey(ctx: typer.Context) -> None:
    """Make a new key and seal every password with it. Interrupted anywhere, all passwords still open.

    Examples:

      mailrotate secret rekey
    """
    from mailrotate.core.services.access import secrets

    call = call_of(ctx)
    count = secrets.rekey(call.context, call.app.key_place, call.now)
    place = call.app.key.place
    call.speech.result(
        {"resealed": count, "place": place},
        f"the key is new and in {place}; it seals {counted(count, 'password')}",
    )
    call.speech.say("keep a copy of it apart from the database; other machines of this workspace need it too")
