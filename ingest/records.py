"""The one shape in which a JSON record of any API lands, and the record of what was read.

A page of parsed JSON becomes one Arrow batch with the vendor's record whole in `payload`. Python
never touches a single column of it: typed columns are made in SQL, where 400,000 take 0.6 s.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Literal

import orjson
import pyarrow as pa

TIMESTAMP: pa.DataType = pa.timestamp("us")
_TEXT: pa.DataType = pa.string()
_FLAG: pa.DataType = pa.bool_()
_COUNT: pa.DataType = pa.int64()

RECORD_SCHEMA = pa.schema(
    [
        ("source_account_id", _TEXT),
        ("record_id", _TEXT),
        ("cursor_at", TIMESTAMP),
        ("is_deleted", _FLAG),
        ("payload", _TEXT),
        ("payload_hash", _TEXT),
        ("pull_id", _TEXT),
    ]
)

PULL_SCHEMA = pa.schema(
    [
        ("pull_id", _TEXT),
        ("source_account_id", _TEXT),
        ("resource", _TEXT),
        ("kind", _TEXT),
        ("window_start_at", TIMESTAMP),
        ("window_end_at", TIMESTAMP),
        ("started_at", TIMESTAMP),
        ("finished_at", TIMESTAMP),
        ("observed_until_at", TIMESTAMP),
        ("row_count", _COUNT),
        ("stored_count", _COUNT),
        ("is_complete", _FLAG),
        ("content_hash", _TEXT),
    ]
)

PULLS_TABLE = "_pulls"

_LINK_QUERY = re.compile(rb'("href":"[^"?]*)\?[^"]*')

Record = dict[str, Any]
Scrubber = Callable[[Record], Record]
PullKind = Literal["snapshot", "window", "delta"]


@dataclass(frozen=True)
class Pull:
    """One complete or broken read of one resource: what was asked, and what came back."""

    pull_id: str
    source_account_id: str
    resource: str
    kind: PullKind
    started_at: datetime
    window_start_at: datetime | None = None
    window_end_at: datetime | None = None
    finished_at: datetime | None = None
    observed_until_at: datetime | None = None
    row_count: int = 0
    stored_count: int = 0
    is_complete: bool = False
    content_hash: str | None = None

    def finished(self, *, row_count: int, stored_count: int, is_complete: bool = True) -> "Pull":
        """Return the same pull with its outcome.

        Args:
            row_count: Rows that the source showed.
            stored_count: Rows that differed from what was stored.
            is_complete: Whether the whole window was read.
        """
        return replace(
            self,
            finished_at=utc_now(),
            row_count=row_count,
            stored_count=stored_count,
            is_complete=is_complete,
        )


def utc_now() -> datetime:
    """Return this machine's time as a naive UTC timestamp, the way the warehouse keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def from_unix(seconds: float) -> datetime:
    """Return a Unix time as a naive UTC timestamp.

    Args:
        seconds: Seconds since 1970.
    """
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def to_unix(moment: datetime) -> int:
    """Return a naive UTC timestamp as whole Unix seconds, rounded down.

    Args:
        moment: Naive UTC.
    """
    return int(moment.replace(tzinfo=UTC).timestamp() // 1)


def new_pull_id() -> str:
    """Return a name for a pull that sorts by time of making."""
    return f"{time.time_ns() // 1000:016d}-{secrets.token_hex(4)}"


def payload_hash(payload: bytes) -> str:
    """Return the hash by which two versions of a record are told apart.

    Some APIs repeat the query of the request in a record's links to itself; the same record read
    by another window must not look changed, so what follows "?" in a link does not count.

    Args:
        payload: The JSON text as it is stored.
    """
    if b"?" in payload:
        payload = _LINK_QUERY.sub(rb"\1", payload)
    return blake2b(payload, digest_size=16).hexdigest()


def record_batch(
    records: Sequence[Record],
    *,
    account_id: str,
    pull_id: str,
    id_of: Callable[[Record], str],
    cursor_of: Callable[[Record], float | None],
    privacy: Scrubber | None = None,
) -> pa.RecordBatch:
    """Return vendor's records as one Arrow batch, payload whole.

    Args:
        records: Parsed JSON objects; a scrubber may change them in place.
        account_id: The source account they belong to.
        pull_id: The pull that read them.
        id_of: The record's id as text.
        cursor_of: The record's time of change in Unix seconds, or None.
        privacy: Takes personal values out before the payload is written; None keeps them.
    """
    count = len(records)
    ids: list[str] = []
    cursors: list[int | None] = []
    payloads: list[bytes] = []
    hashes: list[str] = []
    dumps = orjson.dumps
    for record in records:
        ids.append(id_of(record))
        moment = cursor_of(record)
        cursors.append(None if moment is None else int(moment * 1_000_000))
        text = dumps(record if privacy is None else privacy(record))
        payloads.append(text)
        hashes.append(payload_hash(text))
    return pa.RecordBatch.from_arrays(
        [
            _repeated(account_id, count),
            pa.array(ids, pa.string()),
            pa.array(cursors, pa.int64()).cast(TIMESTAMP),
            pa.array([False] * count, pa.bool_()),
            # What orjson writes is UTF-8; a cast would only prove it once more.
            pa.array(payloads, pa.binary()).view(pa.string()),
            pa.array(hashes, pa.string()),
            _repeated(pull_id, count),
        ],
        schema=RECORD_SCHEMA,
    )


def tombstone_batch(
    record_ids: Sequence[str], *, account_id: str, pull_id: str, seen_gone_at: datetime | None
) -> pa.RecordBatch:
    """Return rows saying that stored records are no longer in the source.

    Args:
        record_ids: Ids that a complete read did not show.
        account_id: The source account.
        pull_id: The pull that did not see them.
        seen_gone_at: The server's time of that read.
    """
    count = len(record_ids)
    empty = payload_hash(b"")
    return pa.RecordBatch.from_arrays(
        [
            _repeated(account_id, count),
            pa.array(record_ids, pa.string()),
            pa.array([seen_gone_at] * count, TIMESTAMP),
            pa.array([True] * count, pa.bool_()),
            pa.nulls(count, pa.string()),
            _repeated(empty, count),
            _repeated(pull_id, count),
        ],
        schema=RECORD_SCHEMA,
    )


def pulls_table(pulls: Iterable[Pull]) -> pa.Table:
    """Return pulls as rows of `_pulls`.

    Args:
        pulls: Pulls that have finished, complete or not.
    """
    rows = list(pulls)
    columns = [[getattr(pull, name) for pull in rows] for name in PULL_SCHEMA.names]
    arrays = [
        pa.array(values, field.type) for values, field in zip(columns, PULL_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=PULL_SCHEMA)


def _repeated(value: str, count: int) -> Any:
    return pa.repeat(pa.scalar(value, pa.string()), count)
