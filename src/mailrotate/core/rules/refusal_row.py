"""When refusals in a row say more about the mailbox than about the people it writes to (F4)."""

from collections.abc import Sequence

from mailrotate.core.values.address import domain_of

# So many addresses in a row, at different domains and with nothing accepted between, are rarely all wrong.
IN_A_ROW = 3


def suspicion(refused: Sequence[str]) -> str | None:
    """Why a mailbox is put on hold after it was told in a row that these addresses do not exist; None if it
    may go on.

    Several unknown people at one domain say something about a list, and nothing about the mailbox.
    """
    domains = list(dict.fromkeys(domain_of(address) for address in refused))
    if len(domains) < IN_A_ROW:
        return None
    return (
        f"{len(refused)} recipients in a row were refused as unknown, at {', '.join(domains[:-1])} and "
        f"{domains[-1]}: the server may be refusing this mailbox"
    )
