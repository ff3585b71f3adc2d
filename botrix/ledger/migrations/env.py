"""Alembic runs this; the connection comes from `botrix.ledger.migrate`."""

from alembic import context

from botrix.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
