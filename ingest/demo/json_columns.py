"""JSON texts of many records at once: a record's shape with whole columns where its values stand.

    >>> import pyarrow as pa
    >>> json_texts({"id": numbers(pa.array([1, 2])), "tags": []}).to_pylist()
    ['{"id":1,"tags":[]}', '{"id":2,"tags":[]}']

The texts are those that orjson writes of the same records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from ingest.demo.arrow import Column, compute
from ingest.demo.randomness import Flags, Ints

NULL = "null"
_NEEDS_ESCAPE = r'["\\\x00-\x1f]'


def json_texts(record: Any) -> Column:
    """Return one JSON text per row.

    Args:
        record: Objects, lists and constants, and columns of JSON texts where values differ.
    """
    pieces: list[Any] = [""]
    _lay_out(record, pieces)
    return joined(*pieces)


def _lay_out(value: Any, pieces: list[Any]) -> None:
    def write(text: str) -> None:
        if isinstance(pieces[-1], str):
            pieces[-1] += text
        else:
            pieces.append(text)

    if isinstance(value, pa.Array | pa.ChunkedArray):
        pieces.append(value)
    elif isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            write(("{" if number == 0 else ",") + orjson.dumps(key).decode() + ":")
            _lay_out(item, pieces)
        write("}" if value else "{}")
    elif isinstance(value, list):
        write("[")
        for number, item in enumerate(value):
            if number:
                write(",")
            _lay_out(item, pieces)
        write("]")
    else:
        write(orjson.dumps(value).decode())


def joined(*parts: Any) -> Column:
    """Return texts put together row by row; a part is a column or a constant.

    Args:
        *parts: At least one column.
    """
    return compute.binary_join_element_wise(
        *(pa.scalar(part) if isinstance(part, str) else part for part in parts if part != ""), ""
    )


def numbers(values: Any, absent: Flags | None = None) -> Column:
    """Return whole numbers as JSON.

    Args:
        values: Integers, a vector or a column; null is null.
        absent: Where a vector has nothing.
    """
    column = pa.array(values, mask=absent) if isinstance(values, np.ndarray) else values
    texts = compute.cast(column, pa.string())
    return compute.fill_null(texts, NULL) if texts.null_count else texts


def strings(texts: Column) -> Column:
    """Return texts as JSON strings.

    Args:
        texts: Any texts; null is null.
    """
    present = compute.drop_null(texts)
    if compute.any(compute.match_substring_regex(present, _NEEDS_ESCAPE)).as_py():
        return mapped(texts, lambda text: NULL if text is None else orjson.dumps(text).decode())
    # A text that is null makes the whole null, which then is written as null.
    quoted = joined('"', texts, '"')
    return compute.fill_null(quoted, NULL) if quoted.null_count else quoted


def mapped(texts: Column, make: Callable[[Any], str | None]) -> Column:
    """Return what a function makes of each text, called once for equal ones.

    Args:
        texts: Texts or numbers, null among them.
        make: Gets a value or None.
    """
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    encoded = compute.dictionary_encode(whole, null_encoding="encode")
    values: list[Any] = encoded.dictionary.to_pylist()
    made: Column = pa.array([make(value) for value in values], pa.string())
    return made.take(encoded.indices)


def changed(texts: Column, pattern: str, change: Callable[[str], str]) -> Column:
    """Return texts of which those that match a pattern went through a function.

    Args:
        texts: Any texts; null stays null.
        pattern: For those that may change, no more than a first look.
        change: Gets a text.
    """
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    may_change = compute.fill_null(compute.match_substring_regex(whole, pattern), False)
    found: list[str] = compute.filter(whole, may_change).to_pylist()
    if not found:
        return whole
    return compute.replace_with_mask(
        whole, may_change, pa.array([change(text) for text in found], pa.string())
    )


def either(condition: Any, one: Any, other: Any) -> Column:
    """Return one or the other by row.

    Args:
        condition: Booleans, a vector or a column.
        one: Where it holds; a column or a constant.
        other: Where it does not; alike, or None.
    """
    flags = pa.array(condition) if isinstance(condition, np.ndarray) else condition
    nothing: Any = pa.scalar(None, pa.string())
    return compute.if_else(flags, one, nothing if other is None else other)


def lists_of(texts: Column, owners: Ints, count: int) -> Column:
    """Return a JSON list per owner of the texts that are its own, in their order.

    Args:
        texts: JSON texts.
        owners: The position of each text's owner.
        count: How many owners there are.
    """
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], np.arange(count + 1))
    offsets: Column = pa.array(ends, pa.int32())
    items: Column = texts.take(pa.array(order))
    whole = items.combine_chunks() if isinstance(items, pa.ChunkedArray) else items
    grouped = pa.ListArray.from_arrays(offsets, whole)
    return joined("[", compute.binary_join(grouped, ","), "]")
