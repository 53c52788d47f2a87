"""What is true of a simulated firm, beside its raw data: never read by the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ingest.demo.arrow import Column, compute
from ingest.demo.planted.draft import NULL
from ingest.demo.randomness import Ints

# item_id is the native id as the source's API shows it. Of item_type `stage` it is
# "<deal id>:<stage id>", of `sales_rep` the user id, of `hypothesis` and `channel` a name, of
# `source` "<platform or table>:<date>" or a bare name, of `person` a contact id or a client id as
# `label` says.
_ITEM_FIELDS: list[Any] = [
    pa.field("truth_id", pa.string(), nullable=False),
    pa.field("item_type", pa.string(), nullable=False),
    pa.field("item_id", pa.string(), nullable=False),
    # False: an innocent look-alike of this truth, which must not be flagged.
    pa.field("is_planted", pa.bool_(), nullable=False),
    pa.field("look_alike", pa.string()),
    pa.field("moment_at", pa.int64()),
    # Whole rubles.
    pa.field("amount", pa.int64()),
    pa.field("value", pa.float64()),
    pa.field("label", pa.string()),
]
ITEMS = pa.schema(_ITEM_FIELDS)
_SIZE_FIELDS: list[Any] = [
    pa.field("truth_id", pa.string(), nullable=False),
    pa.field("parameter", pa.string(), nullable=False),
    pa.field("value", pa.float64(), nullable=False),
    pa.field("unit", pa.string(), nullable=False),
]
SIZES = pa.schema(_SIZE_FIELDS)


@dataclass(frozen=True)
class TruthTables:
    """Every planted item, and every size as it came out."""

    items: pa.Table
    sizes: pa.Table

    def save(self, folder: Path) -> None:
        """Write truth_items.parquet and truth_sizes.parquet into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        parquet.write_table(self.items, folder / "truth_items.parquet")
        parquet.write_table(self.sizes, folder / "truth_sizes.parquet")

    @classmethod
    def load(cls, folder: Path) -> TruthTables:
        """Return the tables that `save` wrote."""
        return cls(
            items=parquet.read_table(folder / "truth_items.parquet", schema=ITEMS),
            sizes=parquet.read_table(folder / "truth_sizes.parquet", schema=SIZES),
        )


class Record:
    """Takes down what was planted while it is planted."""

    def __init__(self) -> None:
        self._items: list[pa.Table] = []
        self._sizes: list[dict[str, Any]] = []

    def items(
        self,
        truth_id: str,
        item_type: str,
        item_id: Any,
        *,
        look_alike: str | None = None,
        moment_at: Ints | None = None,
        amount: Ints | None = None,
        value: Any = None,
        label: Any = None,
    ) -> None:
        """Take down items of one truth, or look-alikes of it."""
        if isinstance(item_id, np.ndarray):
            item_id = compute.cast(pa.array(item_id), pa.string())
        elif not isinstance(item_id, pa.Array | pa.ChunkedArray):
            item_id = pa.array(item_id, pa.string())
        count = len(item_id)
        if not count:
            return

        def integers(values: Ints | None) -> Column:
            if values is None:
                return pa.nulls(count, pa.int64())
            given = np.asarray(values, dtype=np.int64)
            return pa.array(given, mask=given == NULL)

        if isinstance(label, str):
            label = [label] * count
        if value is not None and np.isscalar(value):
            value = np.full(count, value, dtype=np.float64)
        columns = {
            "truth_id": pa.array([truth_id] * count, pa.string()),
            "item_type": pa.array([item_type] * count, pa.string()),
            "item_id": item_id,
            "is_planted": pa.array([look_alike is None] * count),
            "look_alike": pa.array([look_alike] * count, pa.string()),
            "moment_at": integers(moment_at),
            "amount": integers(amount),
            "value": pa.nulls(count, pa.float64())
            if value is None
            else pa.array(np.asarray(value, dtype=np.float64)),
            "label": pa.nulls(count, pa.string())
            if label is None
            else label
            if isinstance(label, pa.Array | pa.ChunkedArray)
            else pa.array(label, pa.string()),
        }
        self._items.append(pa.table(columns, schema=ITEMS))

    def size(self, truth_id: str, parameter: str, value: float, unit: str) -> None:
        """Take down one size of a truth."""
        self._sizes.append(
            {"truth_id": truth_id, "parameter": parameter, "value": float(value), "unit": unit}
        )

    def tables(self) -> TruthTables:
        """Return what was taken down."""
        items = pa.concat_tables(self._items) if self._items else ITEMS.empty_table()
        return TruthTables(
            items=items.combine_chunks(), sizes=pa.Table.from_pylist(self._sizes, schema=SIZES)
        )


def paired_ids(left: Ints, right: Ints | Sequence[int]) -> Column:
    """Return "left:right" ids."""
    joined: Column = compute.binary_join_element_wise(
        compute.cast(pa.array(left), pa.string()),
        compute.cast(pa.array(np.asarray(right, dtype=np.int64)), pa.string()),
        ":",
    )
    return joined
