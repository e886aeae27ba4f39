"""`mailrotate mailbox show`: a mailbox's state, and each setting with where it comes from."""

from typing import TYPE_CHECKING, Any

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.credentials import server_words
from mailrotate.cli.mailbox.document import document_of, health_of, row_of, trouble_of, unread_words
from mailrotate.cli.output import Speech, localised, zoned
from mailrotate.cli.params import Address
from mailrotate.core.values.reasons import heard, spoken

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.mailbox_views import ShownMailbox


def show(ctx: typer.Context, address: Address) -> None:
    """Show a mailbox: its state, and each setting with its origin.

    Examples:

      mailrotate mailbox show anna@example.org
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    call = call_of(ctx)
    shown = mailbox_views.show(call.context, address, call.now)
    if call.speech.as_json:
        call.speech.document(document_of(shown))
    else:
        _tell(call, shown)


def _tell(call: Call, shown: "ShownMailbox") -> None:
    row = row_of(shown.listed)

    def at(moment: Any) -> str:
        return zoned(moment, call.zone)

    ramp = f", day {row['ramp_day']} of the ramp-up" if row["ramp_day"] else ""
    trouble = localised(trouble_of(row), call.zone)
    call.speech.facts(
        [
            ("address", row["address"]),
            ("state", health_of(row)),
            *([("removed", at(row["removed_at"]))] if row["removed_at"] else []),
            *([("trouble", trouble)] if trouble else []),
            ("user", f"{row['user']}, slot {row['slot'] or 'none'}{', default' if row['default'] else ''}"),
            (
                "sent today",
                f"{row['sent_today']} of {row['daily_limit']}{ramp}; the day ends {at(shown.day_ends_at)}",
            ),
            ("last test", at(row["last_test_at"])),
            ("inbox read", at(shown.inbox_read_at)),
            *([("inbox trouble", heard(shown.inbox_error))] if shown.inbox_error else []),
            *(
                (f"folder {each.name}", f"cannot be read: {heard(each.error)}")
                for each in shown.folders[1:]
                if each.error
            ),
            *((f"mail {mail.uid} of {mail.folder}", unread_words(mail)) for mail in shown.unread_mails),
            *(
                [("last pass", f"ended in an unexpected failure ({shown.broke_by})")]
                if shown.broke_by
                else []
            ),
            ("provider", row["provider"]),
            ("smtp", server_words(shown.smtp)),
            ("imap", server_words(shown.imap)),
            ("username", shown.username),
            *([("aliases", ", ".join(alias.address for alias in shown.aliases))] if shown.aliases else []),
            *([("sends as", shown.sends_as)] if shown.sends_as else []),
        ]
    )
    _tell_settings(call.speech, shown)


def _tell_settings(speech: Speech, shown: "ShownMailbox") -> None:
    speech.line()
    speech.table(
        ("setting", "value", "from"),
        [(spoken(s.name), s.value, s.origin) for s in shown.settings],
        whole=True,
    )
    if shown.campaigns:
        speech.line()
        speech.table(
            ("campaign", "state", "recipients"), [(c.name, c.state, c.people) for c in shown.campaigns]
        )
