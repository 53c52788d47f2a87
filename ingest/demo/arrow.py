"""Arrow as this folder uses it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute

from ingest.demo.tables import SCHEMAS

# The published stubs follow no mixture of vectors and scalars through a computation.
Column: TypeAlias = Any
compute: Any = pyarrow.compute
_PIECE_BYTES = 1 << 18


def filled(name: str, columns: dict[str, Any]) -> pa.Table:
    """Return a table of the firm made of whole columns; a column that may be empty may lack."""
    schema = SCHEMAS[name]
    count = len(next(iter(columns.values())))
    lacking = {
        field.name: pa.nulls(count, field.type) for field in schema if field.name not in columns
    }
    return pa.table({**columns, **lacking}, schema=schema)


def holds_any(texts: Column, signs: bytes) -> bool:
    """Return whether any of some ASCII signs stands anywhere in a column, much sooner than a match.

    Args:
        texts: One array of texts; nulls hold nothing.
        signs: The signs to look for.
    """
    _, places, data = texts.buffers()
    if data is None or not len(texts):
        return False
    ends = np.frombuffer(places, np.int32)
    first, last = ends[texts.offset], ends[texts.offset + len(texts)]
    whole = np.frombuffer(data, np.uint8)[first:last]
    # Piece by piece, so that the comparison stays in the processor's own memory.
    pieces = (whole[start : start + _PIECE_BYTES] for start in range(0, len(whole), _PIECE_BYTES))
    return any(bool((piece == sign).any()) for piece in pieces for sign in signs)
