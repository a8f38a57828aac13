"""Runs the migrations on the connection, and inside the transaction, that the library holds."""

from __future__ import annotations

from alembic import context

from engine.library.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
