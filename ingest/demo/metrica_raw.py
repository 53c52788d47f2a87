"""Metrica's raw tables of a firm, made without its Logs API: what a whole load would have stored.

The server keeps visits as columns in the vendor's writing and the source works on columns too, so
here they only meet: from the text of one to the rows of the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pyarrow as pa

from ingest.config import Settings
from ingest.demo.amocrm_records import integers
from ingest.demo.arrow import Column, holds_any
from ingest.demo.metrica_server import MetricaServer
from ingest.demo.tables import CompanyTables
from ingest.privacy import Privacy
from ingest.records import Pull, new_pull_id, record_batch, utc_now
from ingest.sources.yandex_metrica import COUNTER_RULES, COUNTERS, VISITS, Preparation
from ingest.sources.yandex_metrica.client import VISIT_FIELDS
from ingest.sources.yandex_metrica.reader import plain_text

METRICA = "yandex_metrica"
_ROWS = 100_000


class MetricaRaw:
    """Rows and pulls of one counter."""

    def __init__(self, settings: Settings, now: int, since: dt.date) -> None:
        """Take the home.

        Args:
            settings: The settings of the home folder.
            now: The simulated moment.
            since: The first day that is read.
        """
        self._question = settings.personal_data
        self._privacy = Privacy(settings)
        self._prepared = Preparation(self._privacy)
        self._now = now
        self._since = since
        self._first: pa.Table | None = None

    def pulls(self, tables: CompanyTables) -> Iterator[Pull]:
        """Yield a pull per table: visits of all days before today.

        Args:
            tables: The firm, or any block of it.
        """
        server = MetricaServer(tables, now=self._now)
        zone = ZoneInfo(server.options.time_zone)
        closed = _midnight(self._today(zone), zone)
        for table in (COUNTERS, VISITS):
            is_window = table == VISITS
            yield Pull(
                pull_id=new_pull_id(),
                source_account_id=server.counter_id,
                resource=table,
                kind="window" if is_window else "snapshot",
                started_at=utc_now(),
                window_start_at=_midnight(self._since, zone) if is_window else None,
                window_end_at=closed if is_window else None,
                observed_until_at=closed,
                content_hash=self._question if is_window else None,
            )

    def visits(self, tables: CompanyTables, pull_id: str) -> Iterator[pa.Table]:
        """Yield the visits of a firm, or of a block of it, that the Logs API shows.

        Args:
            tables: The firm, or the block.
            pull_id: The pull that brings them.
        """
        if not tables.visits.num_rows:
            return
        self._remember_first(tables.visits)
        server = MetricaServer(tables, now=self._now)
        zone = ZoneInfo(server.options.time_zone)
        yesterday = self._today(zone) - dt.timedelta(days=1)
        columns = server._visits
        rows = columns.rows(self._since.isoformat(), yesterday.isoformat(), self._now)
        for start in range(0, len(rows), _ROWS):
            chosen: Column = pa.array(rows[start : start + _ROWS])
            told = [
                _plain(_whole(columns._column(name)).take(chosen)) for name in VISIT_FIELDS.values()
            ]
            found = pa.RecordBatch.from_arrays(told, names=list(VISIT_FIELDS))
            batch = self._prepared.batch(found, server.counter_id, pull_id)
            yield pa.Table.from_batches([batch])

    def counters(self, tables: CompanyTables, pull_id: str) -> pa.Table:
        """Return the counter's record, once all visits have been seen.

        Args:
            tables: The firm, or any block of it.
            pull_id: The pull that brings it.
        """
        first = tables.visits if self._first is None else self._first
        parts = {name: table.slice(0, 0) for name, table in tables.items() if name != "account"}
        firm = CompanyTables(now=tables.now, account=tables.account, **{**parts, "visits": first})
        server = MetricaServer(firm, now=self._now)
        batch = record_batch(
            [server._counter()],
            account_id=server.counter_id,
            pull_id=pull_id,
            id_of=lambda _: server.counter_id,
            cursor_of=lambda _: None,
            privacy=self._privacy.scrubber(COUNTER_RULES),
        )
        return pa.Table.from_batches([batch])

    def _remember_first(self, visits: pa.Table) -> None:
        """Keep the visit with which the counter began to count."""
        known = visits if self._first is None else pa.concat_tables([self._first, visits])
        place = int(integers(known, "visited_at").argmin())
        self._first = known.slice(place, 1)

    def _today(self, zone: ZoneInfo) -> dt.date:
        return dt.datetime.fromtimestamp(self._now, tz=zone).date()


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """Return the start of a local day as naive UTC."""
    local = dt.datetime.combine(day, dt.time(), tzinfo=zone)
    return local.astimezone(dt.UTC).replace(tzinfo=None)


def _plain(column: Column) -> Column:
    return plain_text(column) if holds_any(column, b"\\") else column


def _whole(column: Column) -> Column:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
