"""Contacts and suppressions by their canonical address: at Gmail, several spellings are one mailbox."""

import hashlib

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_GMAIL = ("gmail.com", "googlemail.com")
_ROWS_AT_ONCE = 1000


def upgrade() -> None:
    op.add_column("contact", sa.Column("canonical", AutoString(), nullable=True))
    op.add_column("suppression", sa.Column("canonical", AutoString(), nullable=True))
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE contact SET canonical = address"))
    connection.execute(sa.text("UPDATE suppression SET canonical = value"))
    _compare_contacts(connection)
    _compare_suppressions(connection)
    op.drop_index("uq_contact", "contact")
    op.create_index("uq_contact", "contact", ["domain", "canonical", "address"], unique=True)
    op.create_index("ix_suppression_canonical", "suppression", ["kind", "canonical"], unique=False)


def _canonical(value: str) -> str:
    """As the program compared addresses, and Gmail's two domains, when this revision was written."""
    local, at, domain = value.rpartition("@")
    if domain not in _GMAIL:
        return value
    return f"{local.partition('+')[0].replace('.', '')}{at}{_GMAIL[0]}"


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _compare_contacts(connection: sa.Connection) -> None:
    """Two spellings that are contacts already stay two contacts; an import takes neither of them again."""
    query = sa.text(
        "SELECT id, address FROM contact WHERE domain IN ('gmail.com', 'googlemail.com') ORDER BY id"
    )
    found = [(row.id, row.address, _canonical(row.address)) for row in connection.execute(query)]
    change = sa.text("UPDATE contact SET canonical = :canonical, domain = 'gmail.com' WHERE id = :id")
    for start in range(0, len(found), _ROWS_AT_ONCE):
        rows = [{"id": each[0], "canonical": each[2]} for each in found[start : start + _ROWS_AT_ONCE]]
        connection.execute(change, rows)
    stopped = set(connection.execute(sa.text("SELECT address_hash FROM stopped")).scalars())
    # A tombstone is never changed: the canonical form gets one of its own.
    copy = sa.text(
        "INSERT INTO stopped (campaign_id, address_hash, stopped_at) "
        "SELECT campaign_id, :canonical, stopped_at FROM stopped WHERE address_hash = :address "
        "ON CONFLICT DO NOTHING"
    )
    for _, address, canonical in found:
        if address != canonical and _hash(address) in stopped:
            connection.execute(copy, {"address": _hash(address), "canonical": _hash(canonical)})


def _compare_suppressions(connection: sa.Connection) -> None:
    """Of several spellings the first one stays and covers the others."""
    query = sa.text("SELECT id, value, hash FROM suppression WHERE value IS NOT NULL ORDER BY id")
    kept: set[str] = set()
    # All are read before the first is changed: a later row's hash may be an earlier one's canonical form.
    rows = [row for row in connection.execute(query) if row.value.rpartition("@")[2] in _GMAIL]
    changes: list[dict[str, object]] = []
    for row in rows:
        canonical = _canonical(row.value)
        if canonical in kept:
            connection.execute(sa.text("DELETE FROM suppression WHERE id = :id"), {"id": row.id})
        else:
            kept.add(canonical)
            changes.append({"id": row.id, "canonical": canonical, "hash": _hash(canonical)})
    change = sa.text("UPDATE suppression SET canonical = :canonical, hash = :hash WHERE id = :id")
    if changes:
        connection.execute(change, changes)
