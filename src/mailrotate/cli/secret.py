"""`mailrotate secret`: the key that encrypts the passwords."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import counted, zoned

app = noun("Change the workspace key.", __name__, "rekey")


def rekey(ctx: typer.Context) -> None:
    """Create a new key and encrypt every credential with it. It can be interrupted at any point.

    Examples:

      mailrotate secret rekey
    """
    from mailrotate.core.services.access import secrets

    call = call_of(ctx)
    count = secrets.rekey(call.context, call.app.key_place, call.now)
    place = call.app.key.place
    call.speech.result(
        {"resealed": count, "place": place},
        f"new key stored in {place}; it seals {counted(count, 'credential')}",
    )
    call.speech.say("keep a copy of it apart from the database; other machines of this workspace need it too")
    call.speech.say(
        f"backups made before {zoned(call.now, call.zone)} open only with the old key: make a new one, "
        "or keep a copy of the old key with them"
    )
