"""Arrow as this folder uses it."""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute

from ingest.demo.tables import SCHEMAS

# The published stubs follow no mixture of vectors and scalars through a computation.
Column: TypeAlias = Any
compute: Any = pyarrow.compute


def filled(name: str, columns: dict[str, Any]) -> pa.Table:
    """Return a table of the firm made of whole columns; a column that may be empty may lack."""
    schema = SCHEMAS[name]
    count = len(next(iter(columns.values())))
    lacking = {
        field.name: pa.nulls(count, field.type) for field in schema if field.name not in columns
    }
    return pa.table({**columns, **lacking}, schema=schema)
