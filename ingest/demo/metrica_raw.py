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
from ingest.demo.arrow import Column
from ingest.demo.metrica_server import MetricaServer
from ingest.demo.tables import CompanyTables
from ingest.privacy import Privacy
from ingest.records import Pull, from_unix, new_pull_id, record_batch, utc_now
from ingest.sources.yandex_metrica import COUNTER_RULES, COUNTERS, VISITS, Preparation
from ingest.sources.yandex_metrica.client import VISIT_FIELDS
from ingest.sources.yandex_metrica.reader import plain_text

METRICA = "yandex_metrica"
_EPOCH = "1970-01-01"
_ROWS = 100_000
# The source asks for three years at most; what is older counts as read.
_HISTORY = dt.timedelta(days=4 * 366)


class MetricaRaw:
    """Rows and pulls of one counter."""

    def __init__(self, settings: Settings, now: int) -> None:
        """Take the home.

        Args:
            settings: The settings of the home folder.
            now: The simulated moment.
        """
        self._privacy = Privacy(settings)
        self._prepared = Preparation(self._privacy)
        self._now = now
        self._first: pa.Table | None = None

    def pulls(self, tables: CompanyTables) -> Iterator[Pull]:
        """Yield a pull per table: visits of all days before today.

        Args:
            tables: The firm, or any block of it.
        """
        server = MetricaServer(tables, now=self._now)
        closed = self._closed_until(server)
        for table in (COUNTERS, VISITS):
            is_window = table == VISITS
            yield Pull(
                pull_id=new_pull_id(),
                source_account_id=server.counter_id,
                resource=table,
                kind="window" if is_window else "snapshot",
                started_at=utc_now(),
                window_start_at=closed - _HISTORY if is_window else None,
                window_end_at=closed if is_window else None,
                observed_until_at=closed,
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
        yesterday = dt.datetime.fromtimestamp(self._now, tz=zone).date() - dt.timedelta(days=1)
        columns = server._visits
        rows = columns.rows(_EPOCH, yesterday.isoformat(), self._now)
        for start in range(0, len(rows), _ROWS):
            chosen: Column = pa.array(rows[start : start + _ROWS])
            told = [columns._column(name).take(chosen) for name in VISIT_FIELDS.values()]
            found = pa.RecordBatch.from_arrays(
                [plain_text(column) for column in told], names=list(VISIT_FIELDS)
            )
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

    def _closed_until(self, server: MetricaServer) -> dt.datetime:
        zone = ZoneInfo(server.options.time_zone)
        today = from_unix(self._now).replace(tzinfo=dt.UTC).astimezone(zone).date()
        midnight = dt.datetime.combine(today, dt.time(), tzinfo=zone)
        return midnight.astimezone(dt.UTC).replace(tzinfo=None)
