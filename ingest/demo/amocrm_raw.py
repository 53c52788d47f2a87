"""amoCRM's raw tables of a firm, made without its API: what a complete load would have stored.

The lists are those of the source, with the same question, privacy rules and shape. Lists that grow
with the deals are rendered a column at a time (`amocrm_columns`), the others record by record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from ingest.config import Settings, SourceRef
from ingest.demo.amocrm_columns import AmocrmColumns
from ingest.demo.amocrm_records import Account, Ints, Records
from ingest.demo.raw_file import record_table
from ingest.demo.tables import CompanyTables
from ingest.records import RECORD_SCHEMA, Pull, Record, from_unix, new_pull_id, to_unix, utc_now
from ingest.sources.amocrm import ENDPOINTS, Endpoint, Session, question_of
from ingest.sources.amocrm.settings import ACCOUNT_PARTS, INVOICE_PARTS

AMOCRM = "amocrm"
# Lists of the account itself, the same in every block of a scaled company.
_SHARED = frozenset({"account", "pipelines", "users", "loss_reasons"})
_WINDOWED = frozenset({"keyset", "notes", "tasks", "events"})
_PIECE_ROWS = 150_000
_RENDERED_ROWS = 20_000


class AmocrmRaw:
    """Rows and pulls of one firm, or of one block of it."""

    def __init__(self, tables: CompanyTables, settings: Settings, block: int = 0) -> None:
        """Take the firm as the source would meet it.

        Args:
            tables: The firm, or a block of it.
            settings: The settings of the home folder.
            block: Which block; the first one brings what all share.
        """
        self._now = tables.now
        self._account = Account(tables)
        self._settings = settings
        self._block = block
        self._session = Session(SourceRef(AMOCRM), settings)
        extras = frozenset(ACCOUNT_PARTS.split(","))
        self._session.account = orjson.loads(self._account.account_record(extras, filters_on=True))
        self._session.server_now = from_unix(self._now)
        self._columns = AmocrmColumns(self._account, tables.now, self._session.privacy)
        self._leads: tuple[Records, Records] | None = None

    def pulls(self) -> Iterator[Pull]:
        """Yield a pull per list: one window over all the time that a first load reads."""
        session = self._session
        for endpoint in ENDPOINTS:
            is_window = endpoint.reading in _WINDOWED
            asked = question_of(endpoint, self._settings, session.options) if is_window else None
            yield Pull(
                pull_id=new_pull_id(),
                source_account_id=session.account_id,
                resource=endpoint.table,
                kind="window" if is_window else "snapshot",
                started_at=utc_now(),
                window_start_at=session.first_moment if is_window else None,
                window_end_at=session.server_now,
                observed_until_at=session.server_now,
                content_hash=asked,
            )

    def rows(self, pull_of: Callable[[str], str]) -> Iterator[tuple[str, pa.Table]]:
        """Yield each list's rows in pieces, by raw table.

        Args:
            pull_of: Gives the pull id of a table.
        """
        for endpoint in ENDPOINTS:
            if self._block and endpoint.table in _SHARED:
                continue
            for piece in self._pieces(endpoint, pull_of(endpoint.table)):
                yield endpoint.table, piece

    def table(self, endpoint: Endpoint, pull_id: str) -> pa.Table:
        """Return the rows of one list.

        Args:
            endpoint: The list.
            pull_id: The pull that brings them.
        """
        nothing = RECORD_SCHEMA.empty_table()
        return pa.concat_tables([nothing, *self._pieces(endpoint, pull_id)])

    def _pieces(self, endpoint: Endpoint, pull_id: str) -> Iterator[pa.Table]:
        if endpoint.table == "account":
            yield self._batches(endpoint, [dict(self._session.account)], pull_id)
            return
        if endpoint.table == "pipelines":
            yield self._batches(endpoint, self._account.pipelines(self._now), pull_id)
            return
        records = self._records(endpoint.table)
        positions = self._landed(endpoint, records)
        for start in range(0, len(positions), _PIECE_ROWS):
            piece = positions[start : start + _PIECE_ROWS]
            parts, left = self._columns.part(endpoint.table, records, piece)
            made = [
                record_table(
                    part.ids,
                    part.cursors,
                    part.payloads,
                    account_id=self._session.account_id,
                    pull_id=pull_id,
                )
                for part in parts
            ]
            yield pa.concat_tables([*made, self._rendered(endpoint, records, left, pull_id)])

    def rendered(self, endpoint: Endpoint, pull_id: str) -> pa.Table:
        """Return the rows of one list made record by record, the way its API makes them.

        Args:
            endpoint: The list.
            pull_id: The pull that brings them.
        """
        records = self._records(endpoint.table)
        return self._rendered(endpoint, records, self._landed(endpoint, records), pull_id)

    def _rendered(
        self, endpoint: Endpoint, records: Records, positions: Ints, pull_id: str
    ) -> pa.Table:
        extras = _extras(endpoint)
        parsed = (orjson.loads(records.render(one, extras)) for one in positions.tolist())
        return self._batches(endpoint, parsed, pull_id)

    def _batches(self, endpoint: Endpoint, records: Any, pull_id: str) -> pa.Table:
        batches: list[pa.RecordBatch] = []
        waiting: list[Record] = []
        for record in records:
            waiting.append(record)
            if len(waiting) == _RENDERED_ROWS:
                batches.append(self._session.batch(endpoint, waiting, pull_id))
                waiting = []
        if waiting:
            batches.append(self._session.batch(endpoint, waiting, pull_id))
        return pa.Table.from_batches(batches, schema=RECORD_SCHEMA)

    def _records(self, table: str) -> Records:
        account, now = self._account, self._now
        if table in {"leads", "deleted_leads"}:
            if self._leads is None:
                self._leads = account.leads(now, with_unsorted=False)
            return self._leads[table == "deleted_leads"]
        if table.endswith("_notes"):
            entity = {"lead": "leads", "contact": "contacts", "company": "companies"}
            return account.notes(entity[table.removesuffix("_notes")], now)
        lists: dict[str, Callable[[], Records]] = {
            "users": account.users,
            "loss_reasons": account.loss_reasons,
            "contacts": lambda: account.contacts(now),
            "companies": lambda: account.companies(now),
            "unsorted": lambda: account.unsorted(now),
            "tasks": lambda: account.tasks(now),
            "events": lambda: account.events.records(now),
            "invoices": lambda: account.invoices(now),
        }
        return lists[table]()

    def _landed(self, endpoint: Endpoint, records: Records) -> Ints:
        """Return the positions that a first load asks for and sees."""
        positions = records.visible
        if endpoint.reading in _WINDOWED:
            moments = records.times[endpoint.cursor_key or "updated_at"][positions]
            positions = positions[moments >= to_unix(self._session.first_moment)]
        if endpoint.reading == "events":
            kinds = self._account.events.TYPES
            asked = [
                kinds.index(kind) for kind in self._session.options.event_types if kind in kinds
            ]
            positions = positions[np.isin(records.times["type"][positions], asked)]
        return positions


def _extras(endpoint: Endpoint) -> frozenset[str]:
    parts = INVOICE_PARTS if endpoint.table == "invoices" else str(endpoint.params.get("with", ""))
    return frozenset(filter(None, parts.split(",")))
