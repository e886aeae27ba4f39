"""`mailrotate secret`: the key that the passwords are sealed with."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import counted, zoned

app = noun("Change the workspace key.", __name__, "rekey")


def rekey(ctx: typer.Context) -> None:
    """Make a new key and seal every credential with it. Interrupted anywhere, all of them still open.

    Examples:

      mailrotate secret rekey
    """
    from mailrotate.core.services.access import secrets

    call = call_of(ctx)
    count = secrets.rekey(call.context, call.app.key_place, call.now)
    place = call.app.key.place
    call.speech.result(
        {"resealed": count, "place": place},
        f"the key is new and in {place}; it seals {counted(count, 'credential')}",
    )
    call.speech.say("keep a copy of it apart from the database; other machines of this workspace need it too")
    call.speech.say(
        f"backups made before {zoned(call.now, call.zone)} open only with the old key: make a new one, "
        "or keep a copy of the old key with them"
    )
