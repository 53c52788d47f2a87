"""Read the text of a log into batches of text columns, in bounded memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute
from pyarrow import csv

# About 10,000 visits; a line longer than this cannot be read.
_BLOCK_BYTES = 8 << 20
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "0": ""}
_compute: Any = pyarrow.compute


class BrokenLogError(Exception):
    """The text of a log is torn, or is not what was asked for."""


def check_whole(file: BinaryIO, told_bytes: int) -> None:
    """Raise where a downloaded part must have been cut off.

    Args:
        file: The part.
        told_bytes: Its size as the API tells it. It may mean packed bytes, so only fewer than told
            are too few.

    Raises:
        BrokenLogError: It ends early.
    """
    size = file.seek(0, os.SEEK_END)
    if size < told_bytes:
        raise BrokenLogError(f"has {size} bytes of {told_bytes}")
    if size:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            raise BrokenLogError("ends within a line")
    file.seek(0)


def read_log(
    file: BinaryIO, names: Sequence[str], block_bytes: int = _BLOCK_BYTES
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a log as text columns in the order of `names`.

    Args:
        file: The part, from its beginning.
        names: Columns that were asked for; those the API adds are left out.
        block_bytes: How much text is parsed at once.

    Raises:
        BrokenLogError: Columns are missing or a line does not have as many fields as the first.
    """
    try:
        with csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=block_bytes, use_threads=False),
            parse_options=csv.ParseOptions(
                delimiter="\t", quote_char=False, double_quote=False, escape_char=False
            ),
            convert_options=csv.ConvertOptions(
                # Ids are larger than a double can hold, and one URL that is no UTF-8 must not cost
                # the log.
                column_types=dict.fromkeys(names, pa.binary()),
                include_columns=list(names),
                strings_can_be_null=False,
            ),
        ) as reader:
            for batch in reader:
                columns = [plain_text(column) for column in batch.columns]
                yield pa.RecordBatch.from_arrays(columns, names=list(names))
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise BrokenLogError("is empty, without its line of names") from None
        raise BrokenLogError(f"cannot be read ({_shortened(str(error))})") from None
    except KeyError as error:
        raise BrokenLogError(f"has other columns than asked for ({error})") from None


def plain_text(column: Any) -> Any:
    """Return a column of a log as text, as it was before the server wrote it.

    Args:
        column: Bytes or text.
    """
    try:
        text = column.cast(pa.string())
    except pa.ArrowInvalid:
        text = pa.array([value.decode(errors="replace") for value in column.to_pylist()])
    if not _compute.any(_compute.match_substring(text, "\\")).as_py():
        return text
    return pa.array([unescaped(value) for value in text.to_pylist()], pa.string())


def unescaped(value: str) -> str:
    r"""Return a field of a TSV line as it was before the server wrote it.

    An array keeps the escapes of its own elements: `[\'it\\\'s\']` becomes `['it\'s']`. One whose
    quotes come plain was escaped once only, and stays.

    Args:
        value: The field.
    """
    if "\\" not in value or value.startswith("['"):
        return value
    return _ESCAPE.sub(lambda found: _CONTROL.get(found[1], found[1]), value)


def _shortened(text: str) -> str:
    line = text.splitlines()[0] if text else ""
    # The rest of the message quotes the line, and that line may hold a person's data.
    return line.split(": ")[0][:120] if "Expected" not in line else line[:80].split(", got")[0]
