"""Every table, declared as a SQLModel row in the modules of this package.

`docs/glossary.md` says what each of them is.

Tables are rows, not the domain: they validate nothing, and no row leaves the store. States are text with a
CHECK, because an enum column would store the names of the members instead of their values. Instants are
aware UTC (`UTCDateTime` of SQLModel): fixed-width text on SQLite, `timestamptz` on PostgreSQL.

No command imports this package except to migrate, because SQLModel takes longer to import than the rest of a
command. Queries use `tables/columns.py`, which `make tables` writes from these modules.
"""

from sqlalchemy import MetaData
from sqlmodel import SQLModel

# Importing a module declares its tables.
from mailrotate.core.store.rows import (  # noqa: F401
    campaign_rows,
    mailbox_rows,
    notice_rows,
    outbox_rows,
    people_rows,
    user_rows,
    webhook_rows,
)

METADATA: MetaData = SQLModel.metadata
