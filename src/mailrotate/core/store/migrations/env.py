"""Alembic's way in: the connection comes from `schema.migrate`, there is no other."""

from alembic import context

from mailrotate.core.store.rows import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
