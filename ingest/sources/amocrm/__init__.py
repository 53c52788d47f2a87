"""amoCRM: fifteen lists of the API v4, landed whole.

Flow: `account` first (who we are, whether filters are paid for, the server's clock), then small
lists as snapshots, then leads, contacts, companies, notes, tasks and events as closed time windows,
newest first. Secrets: `sources.amocrm.token`, or `client_id`, `client_secret`, `refresh_token`.
Run: `VORONKA_SOURCES=amocrm VORONKA_AMOCRM_URL=https://company.amocrm.ru voronka refresh`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource, DltSource

from ingest.chunks import ChunkBudget
from ingest.config import Settings, SourceRef
from ingest.errors import AuthenticationError, IngestError, SourceContractError
from ingest.landing import land_pull, read_windows
from ingest.privacy import Privacy
from ingest.records import (
    RECORD_SCHEMA,
    Pull,
    Record,
    Scrubber,
    from_unix,
    new_pull_id,
    payload_hash,
    record_batch,
    to_unix,
    utc_now,
)
from ingest.sources.amocrm.client import AmocrmClient, whole_number
from ingest.sources.amocrm.personal_data import rules_for
from ingest.sources.amocrm.settings import (
    ACCOUNT_PARTS,
    CONTACT_PARTS,
    EVENTS_PAGE_SIZE,
    INVOICE_PARTS,
    LEAD_PARTS,
    PAGE_SIZE,
    USER_PARTS,
    AmocrmSettings,
)
from ingest.stored_state import StoredState
from ingest.windows import Window, missing_windows

NOT_CONNECTED = "not_connected"


@dataclass(frozen=True)
class Endpoint:
    """One list of the API and the way it must be read."""

    table: str
    path: str
    name: str
    reading: str
    id_key: str = "id"
    cursor_key: str | None = "updated_at"
    params: Mapping[str, Any] = field(default_factory=dict)

    def id_of(self, record: Record) -> str:
        """Return the record's id as text."""
        return str(record[self.id_key])

    def cursor_of(self, record: Record) -> float | None:
        """Return the record's time of change, or None where it has none."""
        if self.cursor_key is None:
            return None
        return whole_number(record.get(self.cursor_key))


_LIST = {"limit": PAGE_SIZE}
ENDPOINTS = (
    Endpoint("account", "account", "account", "account", cursor_key=None),
    Endpoint("pipelines", "leads/pipelines", "pipelines", "snapshot", cursor_key=None),
    Endpoint(
        "users", "users", "users", "users", cursor_key=None, params={**_LIST, "with": USER_PARTS}
    ),
    Endpoint("loss_reasons", "leads/loss_reasons", "loss_reasons", "snapshot", params=_LIST),
    Endpoint("leads", "leads", "leads", "keyset", params={**_LIST, "with": LEAD_PARTS}),
    Endpoint(
        "deleted_leads", "leads", "leads", "snapshot", params={**_LIST, "with": "only_deleted"}
    ),
    Endpoint(
        "unsorted",
        "leads/unsorted",
        "unsorted",
        "snapshot",
        id_key="uid",
        cursor_key="created_at",
        params={**_LIST, "order[created_at]": "asc"},
    ),
    Endpoint("contacts", "contacts", "contacts", "keyset", params={**_LIST, "with": CONTACT_PARTS}),
    Endpoint(
        "companies", "companies", "companies", "keyset", params={**_LIST, "with": CONTACT_PARTS}
    ),
    Endpoint(
        "events",
        "events",
        "events",
        "events",
        cursor_key="created_at",
        params={"limit": EVENTS_PAGE_SIZE},
    ),
    Endpoint("tasks", "tasks", "tasks", "tasks", params={**_LIST, "order[id]": "asc"}),
    Endpoint("lead_notes", "leads/notes", "notes", "notes", params=_LIST),
    Endpoint("contact_notes", "contacts/notes", "notes", "notes", params=_LIST),
    Endpoint("company_notes", "companies/notes", "notes", "notes", params=_LIST),
    Endpoint("invoices", "catalogs/{catalog}/elements", "elements", "invoices", params=_LIST),
)
RAW_TABLES: Mapping[str, pa.Schema] = {endpoint.table: RECORD_SCHEMA for endpoint in ENDPOINTS}


def question_of(endpoint: Endpoint, settings: Settings, options: AmocrmSettings) -> str:
    """Return a name for what is asked of a list and how it lands.

    More event types, more parts of a record or another privacy rule make the time that was read
    before unread; unchanged records are not stored again.

    Args:
        endpoint: The list.
        settings: The settings of the home folder.
        options: The options of the account.
    """
    asked = [endpoint.path, str(endpoint.params.get("with", "")), settings.personal_data]
    if endpoint.reading == "events":
        asked += sorted(options.event_types)
    return payload_hash("\n".join(asked).encode())


def build_source(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> DltSource:
    """Return a dlt source that reads the next chunk of one amoCRM account.

    Args:
        ref: Source and account label.
        settings: The settings of the home folder.
        state: What earlier committed loads stored.
        budget: How much this chunk may read, and where it reports.
    """
    session = budget.shared.setdefault(str(ref), Session(ref, settings))
    reader = _Reader(session, state, budget)

    def resource_of(endpoint: Endpoint) -> DltResource:
        # The generator itself, not the function: dlt would look its arguments up as settings.
        return dlt.resource(
            reader.read(endpoint), name=endpoint.table, write_disposition="append", primary_key=()
        )

    @dlt.source(name="amocrm", max_table_nesting=0)
    def amocrm() -> list[DltResource]:
        return [resource_of(endpoint) for endpoint in ENDPOINTS]

    return amocrm()


class Session:
    """What the chunks of one run share: the connection, the account, the server's present."""

    def __init__(self, ref: SourceRef, settings: Settings) -> None:
        """Take note of the settings; nothing is read or sent yet.

        Args:
            ref: Source and account label.
            settings: The settings of the home folder.
        """
        self.ref = ref
        self.settings = settings
        self.options = settings.options_of(ref, AmocrmSettings)
        self.totals: dict[str, int] = {}
        self.page_hints: dict[str, int] = {}
        # Lists whose newest window this run has begun: later chunks need no overlap again.
        self.begun: set[str] = set()
        self._scrubbers: dict[str, Scrubber | None] = {}

    @cached_property
    def client(self) -> AmocrmClient:
        """Return the client, made at the first request."""
        return AmocrmClient(self.ref, self.settings.home, self.options)

    @cached_property
    def account(self) -> Record:
        """Return the account's own record.

        Raises:
            SourceContractError: The answer is no account.
        """
        body = self.client.get("account", {"with": ACCOUNT_PARTS})
        if body is None or "id" not in body:
            raise SourceContractError(
                "GET account answered no account",
                account=str(self.ref),
                action="Check that the setting url is the address of the CRM",
            )
        return body

    @cached_property
    def account_id(self) -> str:
        """Return the account's id, the middle part of every key."""
        return str(self.account["id"])

    @cached_property
    def server_now(self) -> datetime:
        """Return the server's clock at the first answers: the end of the newest windows."""
        _ = self.account_id
        now = self.client.api.agree_on_clock(lambda: self.client.get("account"))
        return now or utc_now()

    @cached_property
    def has_filters(self) -> bool:
        """Return whether lists of leads, contacts and companies obey filters (a paid package)."""
        if self.options.filters != "auto":
            return self.options.filters == "on"
        return self.account.get("is_api_filter_enabled") is True

    @cached_property
    def invoices_catalog(self) -> str | None:
        """Return the id of the list that holds invoices, or None where they are off."""
        invoices = self.account.get("invoices_settings")
        found = invoices.get("invoices_catalog_id") if isinstance(invoices, dict) else None
        return str(found) if found else None

    @cached_property
    def first_moment(self) -> datetime:
        """Return how far back the first load goes."""
        if self.options.start_date is not None:
            start = self.options.start_date
            return datetime(start.year, start.month, start.day)  # noqa: DTZ001  (naive UTC)
        midnight = self.server_now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=self.options.history_days)

    @cached_property
    def privacy(self) -> Privacy:
        """Return the hashing key, made at its first use."""
        return Privacy(self.settings)

    def scrubber(self, table: str) -> Scrubber | None:
        """Return what takes personal data out of a table's records.

        Args:
            table: The raw table.
        """
        if table not in self._scrubbers:
            rules = rules_for(table, keep_sales_rep_names=self.settings.sales_rep_names == "keep")
            self._scrubbers[table] = self.privacy.scrubber(rules)
        return self._scrubbers[table]

    def batch(self, endpoint: Endpoint, records: list[Record], pull_id: str) -> pa.RecordBatch:
        """Return one page as an Arrow batch.

        Args:
            endpoint: The list.
            records: Its rows.
            pull_id: The pull that read them.

        Raises:
            SourceContractError: A row has no id.
        """
        try:
            return record_batch(
                records,
                account_id=self.account_id,
                pull_id=pull_id,
                id_of=endpoint.id_of,
                cursor_of=endpoint.cursor_of,
                privacy=self.scrubber(endpoint.table),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise SourceContractError(
                f"a row of {endpoint.table} has another shape than documented ({error!r})",
                account=str(self.ref),
                action="Tell the maintainers: the API changed",
            ) from None

    def close(self) -> None:
        """Close the connections, if any were opened."""
        if "client" in self.__dict__:
            self.client.close()


class _Reader:
    """Reads each list in the way its protocol needs, within one chunk."""

    def __init__(self, session: Session, state: StoredState, budget: ChunkBudget) -> None:
        self._session = session
        self._state = state
        self._budget = budget
        self._readings: dict[str, Callable[[Endpoint], Iterator[Any]]] = {
            "account": self._account,
            "snapshot": self._snapshot,
            "users": self._users,
            "invoices": self._invoices,
            "keyset": self._keyset,
            "notes": self._notes,
            "tasks": self._tasks,
            "events": self._events,
        }

    def read(self, endpoint: Endpoint) -> Iterator[Any]:
        """Yield what this chunk reads of one list; a failure ends the chunk, not the process.

        Args:
            endpoint: The list.
        """
        if self._budget.is_done(endpoint.table):
            return
        if self._budget.is_spent:
            if self._budget.error is None:
                self._budget.postpone()
            return
        try:
            yield from self._readings[endpoint.reading](endpoint)
        except IngestError as error:
            self._budget.fail(error)

    def _account(self, endpoint: Endpoint) -> Iterator[Any]:
        pull = self._snapshot_pull(endpoint)
        record = dict(self._session.account)
        yield from land_pull(
            self._state,
            self._budget,
            endpoint.table,
            pull,
            iter([self._session.batch(endpoint, [record], pull.pull_id)]),
        )
        self._finish_list(endpoint)

    def _snapshot(
        self,
        endpoint: Endpoint,
        path: str | None = None,
        pages: Iterable[list[Record]] | None = None,
    ) -> Iterator[Any]:
        client = self._session.client
        pull = self._snapshot_pull(endpoint)

        def batches() -> Iterator[pa.RecordBatch]:
            for rows in pages or self._list_pages(endpoint, path):
                if rows:
                    yield self._session.batch(endpoint, rows, pull.pull_id)

        def read_again() -> Iterator[str]:
            for rows in client.pages(path or endpoint.path, endpoint.name, endpoint.params):
                yield from map(endpoint.id_of, rows)

        yield from land_pull(
            self._state,
            self._budget,
            endpoint.table,
            pull,
            batches(),
            read_again=read_again,
        )
        self._finish_list(endpoint)

    def _list_pages(self, endpoint: Endpoint, path: str | None = None) -> Iterator[list[Record]]:
        return self._session.client.settled_pages(
            path or endpoint.path, endpoint.name, endpoint.params, id_of=endpoint.id_of
        )

    def _users(self, endpoint: Endpoint) -> Iterator[Any]:
        pages = self._list_pages(endpoint)
        try:
            first = next(pages, [])
        except AuthenticationError as refusal:
            self._accept_limited_token(refusal)
            # Users that an administrator's token once showed are not gone: what nobody may see
            # is no reading, so there is neither a pull nor a tombstone.
            self._finish_list(endpoint)
            return
        yield from self._snapshot(endpoint, pages=chain([first], pages))

    def _accept_limited_token(self, refusal: AuthenticationError) -> None:
        """Warn that users cannot be read.

        Raises:
            AuthenticationError: The token is refused altogether, or the options ask for more.
        """
        if "may not read" not in refusal.what:
            raise refusal
        text = (
            "the token's owner is no administrator: users cannot be read, and other lists may "
            "lack rows without a word"
        )
        if not self._session.options.allow_limited_token:
            raise AuthenticationError(
                text,
                account=refusal.account,
                action="Use an administrator's token, or set allow_limited_token = true",
            ) from None
        self._budget.warn(f"{self._session.ref}: {text}")

    def _invoices(self, endpoint: Endpoint) -> Iterator[Any]:
        catalog = self._session.invoices_catalog
        if catalog is not None:
            yield from self._snapshot(
                Endpoint(
                    endpoint.table,
                    endpoint.path,
                    endpoint.name,
                    endpoint.reading,
                    params={**endpoint.params, "with": INVOICE_PARTS},
                ),
                endpoint.path.format(catalog=catalog),
            )
            return

        def nothing(pull: Pull) -> Pull:
            return Pull(**{**vars(pull), "content_hash": NOT_CONNECTED})

        yield from land_pull(
            self._state,
            self._budget,
            endpoint.table,
            self._snapshot_pull(endpoint),
            iter(()),
            settle=nothing,
        )
        self._finish_list(endpoint)

    def _keyset(self, endpoint: Endpoint) -> Iterator[Any]:
        if self._session.has_filters:
            yield from self._notes(endpoint)
        else:
            yield from self._newest_first(endpoint)

    def _notes(self, endpoint: Endpoint) -> Iterator[Any]:
        def read(window: Window, pull_id: str) -> Iterator[pa.RecordBatch]:
            since, until = self._seconds(endpoint, window)
            for rows in self._session.client.changed_rows(
                endpoint.path,
                endpoint.name,
                field="updated_at",
                since=since,
                until=until,
                params=endpoint.params,
                id_of=endpoint.id_of,
            ):
                yield self._session.batch(endpoint, rows, pull_id)

        yield from self._windows(endpoint, read)

    def _tasks(self, endpoint: Endpoint) -> Iterator[Any]:
        def read(window: Window, pull_id: str) -> Iterator[pa.RecordBatch]:
            yield from self._closed_window(endpoint, window, pull_id, endpoint.params)

        yield from self._windows(endpoint, read)

    def _events(self, endpoint: Endpoint) -> Iterator[Any]:
        params = {**endpoint.params, "filter[type]": ",".join(self._session.options.event_types)}

        def read(window: Window, pull_id: str) -> Iterator[pa.RecordBatch]:
            yield from self._closed_window(endpoint, window, pull_id, params)

        yield from self._windows(endpoint, read)

    def _closed_window(
        self, endpoint: Endpoint, window: Window, pull_id: str, params: Mapping[str, Any]
    ) -> Iterator[pa.RecordBatch]:
        since, until = self._seconds(endpoint, window)
        cursor = endpoint.cursor_key or "updated_at"
        client = self._session.client
        pages = client.settled_pages(
            endpoint.path,
            endpoint.name,
            {f"filter[{cursor}][from]": since, f"filter[{cursor}][to]": until, **params},
            id_of=endpoint.id_of,
            # Events are never taken back; tasks leave the window when somebody edits them.
            may_shrink=endpoint.reading != "events",
            check=client.lies_in(cursor, since, until, endpoint.table),
        )
        for rows in pages:
            yield self._session.batch(endpoint, rows, pull_id)

    def _windows(
        self,
        endpoint: Endpoint,
        read: Callable[[Window, str], Iterator[pa.RecordBatch]],
    ) -> Iterator[Any]:
        session = self._session
        windows = self._missing(endpoint, longest=timedelta(days=session.options.window_days))
        first = session.totals.get(endpoint.table)
        if first is None and len(windows) > 1 and self._is_short(endpoint):
            # One page holds the whole history: a window per month would only cost requests.
            windows = self._missing(endpoint, longest=None)
        total = session.totals.setdefault(endpoint.table, len(windows))
        yield from read_windows(
            self._state,
            self._budget,
            endpoint.table,
            windows,
            read,
            account_id=session.account_id,
            observed_until_at=session.server_now,
            content_hash=self._question(endpoint),
            parallel=session.options.parallel_windows,
            done_before=max(total - len(windows), 0),
        )

    def _missing(self, endpoint: Endpoint, *, longest: timedelta | None) -> list[Window]:
        session = self._session
        options = session.options
        overlap = (
            options.events_overlap_seconds
            if endpoint.reading == "events"
            else options.overlap_seconds
        )
        return missing_windows(
            Window(session.first_moment, session.server_now),
            self._state.coverage(
                endpoint.table,
                account_id=session.account_id,
                content_hash=self._question(endpoint),
            ),
            overlap=timedelta(seconds=0 if endpoint.table in session.begun else overlap),
            longest=longest,
        )

    def _question(self, endpoint: Endpoint) -> str:
        session = self._session
        return question_of(endpoint, session.settings, session.options)

    def _is_short(self, endpoint: Endpoint) -> bool:
        session = self._session
        cursor = endpoint.cursor_key
        params = {
            **endpoint.params,
            f"filter[{cursor}][from]": to_unix(session.first_moment),
            f"filter[{cursor}][to]": to_unix(session.server_now),
        }
        if endpoint.reading == "events":
            params["filter[type]"] = ",".join(session.options.event_types)
        _, link = session.client.page(endpoint.path, endpoint.name, params)
        return link is None

    def _newest_first(self, endpoint: Endpoint) -> Iterator[Any]:
        """Yield a list that obeys no filter: by time of change, newest first, down to the gap.

        A chunk that ends in the middle records the time it fully read; the next one finds the page
        where that time stands and goes on there.
        """
        session, budget = self._session, self._budget
        gaps = self._missing(endpoint, longest=None)
        budget.report(endpoint.table, 0, 1)
        for gap in gaps:
            if budget.is_spent:
                budget.postpone()
                return
            session.begun.add(endpoint.table)
            pull = Pull(
                pull_id=new_pull_id(),
                source_account_id=session.account_id,
                resource=endpoint.table,
                kind="delta",
                started_at=utc_now(),
                observed_until_at=session.server_now,
                content_hash=self._question(endpoint),
            )
            descent = _Descent(endpoint, session, budget, gap)
            before = budget.rows
            yield from land_pull(
                self._state,
                budget,
                endpoint.table,
                pull,
                descent.batches(pull.pull_id),
                settle=descent.settle,
            )
            budget.report(endpoint.table, 0, 1, budget.rows - before)
            if budget.error is not None:
                return
            if not descent.reached_end:
                budget.postpone()
                return
        self._finish_list(endpoint)

    def _seconds(self, endpoint: Endpoint, window: Window) -> tuple[int, int]:
        """Return the first and last second of a window; the newest one holds the present too."""
        last = to_unix(window.end)
        is_newest = window.end >= self._session.server_now
        if is_newest:
            self._session.begun.add(endpoint.table)
        return to_unix(window.start), last if is_newest else last - 1

    def _snapshot_pull(self, endpoint: Endpoint) -> Pull:
        session = self._session
        return Pull(
            pull_id=new_pull_id(),
            source_account_id=session.account_id,
            resource=endpoint.table,
            kind="snapshot",
            started_at=utc_now(),
            window_end_at=session.server_now,
            observed_until_at=session.server_now,
        )

    def _finish_list(self, endpoint: Endpoint) -> None:
        if self._budget.error is None:
            self._budget.finish(endpoint.table)
            self._budget.report(endpoint.table, 1, 1)


class _Descent:
    """One walk down a list ordered by time of change, newest first."""

    def __init__(
        self, endpoint: Endpoint, session: Session, budget: ChunkBudget, gap: Window
    ) -> None:
        self._endpoint = endpoint
        self._session = session
        self._budget = budget
        self._since = to_unix(gap.start)
        self._until = to_unix(gap.end)
        self._is_newest = gap.end >= session.server_now
        self._gap = gap
        self._lowest: int | None = None
        self._page = 1
        self.reached_end = False

    def batches(self, pull_id: str) -> Iterator[pa.RecordBatch]:
        """Yield rows of the gap, each version once, until its start or the chunk's end.

        Args:
            pull_id: The pull that reads them.
        """
        first = 1 if self._is_newest else self._first_page()
        seen: set[str] = set()
        yield from self._walk(first, None, seen, pull_id)
        last = self._page
        # A deleted lead shifts the rest to the left and hides a row at a page's edge: several
        # pages are walked again until nothing new turns up.
        for _ in range(3):
            if last == first:
                break
            before = len(seen)
            yield from self._walk(first, last, seen, pull_id)
            if len(seen) == before:
                break
        if not self.reached_end:
            self._session.page_hints[self._endpoint.table] = max(last - 1, 1)

    def settle(self, pull: Pull) -> Pull:
        """Return the pull with the window that was read in full.

        Args:
            pull: Without a window.
        """
        start = self._gap.start
        if not self.reached_end:
            # The lowest second may go on at the next page.
            start = self._gap.end if self._lowest is None else from_unix(self._lowest + 1)
        window = {"window_start_at": min(start, self._gap.end), "window_end_at": self._gap.end}
        return Pull(**{**vars(pull), **window})

    def _walk(
        self, first: int, last: int | None, seen: set[str], pull_id: str
    ) -> Iterator[pa.RecordBatch]:
        page = first
        while True:
            rows, has_next = self._rows(page, is_announced=page > first)
            self._page = page
            wanted = []
            for row in rows:
                moment = int(row["updated_at"])
                key = f"{self._endpoint.id_of(row)}:{moment}"
                is_inside = self._since <= moment and (self._is_newest or moment <= self._until)
                if is_inside and key not in seen:
                    seen.add(key)
                    wanted.append(row)
            if wanted:
                yield self._session.batch(self._endpoint, wanted, pull_id)
            oldest = int(rows[-1]["updated_at"]) if rows else None
            if last is None:
                if oldest is not None:
                    self._lowest = oldest
                if not has_next or (oldest is not None and oldest < self._since):
                    self.reached_end = True
                    return
                if self._budget.is_spent and self._has_read_a_second():
                    return
            elif page >= last or not has_next:
                return
            page += 1

    def _has_read_a_second(self) -> bool:
        """Return whether some second was read in full, so that the next chunk begins further on.

        A mass edit stamps more rows with one second than a chunk holds; each chunk would begin it
        anew.
        """
        return self._lowest is not None and from_unix(self._lowest + 1) < self._gap.end

    def _rows(self, page: int, *, is_announced: bool = False) -> tuple[list[Record], bool]:
        endpoint, client = self._endpoint, self._session.client
        params = {**endpoint.params, "order[updated_at]": "desc", "page": page}

        def check(rows: list[Record]) -> None:
            moments = [whole_number(row.get("updated_at")) for row in rows]
            known = [moment for moment in moments if moment is not None]
            if len(known) < len(rows) or known != sorted(known, reverse=True):
                raise SourceContractError(
                    f"{endpoint.table} came in another order than asked for",
                    account=str(self._session.ref),
                    action="Tell the maintainers: the API changed",
                )

        ask = client.following_page if is_announced else client.page
        rows, link = ask(endpoint.path, endpoint.name, params, check=check)
        return rows, link is not None

    def _first_page(self) -> int:
        """Return a page at or before the first row of the gap: gallop down, then halve."""
        low = 1
        high = self._session.page_hints.get(self._endpoint.table, 2)
        while self._is_above(high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            if self._is_above(middle):
                low = middle
            else:
                high = middle
        return low

    def _is_above(self, page: int) -> bool:
        """Return whether a page's last row is still newer than the gap."""
        rows, has_next = self._rows(page)
        return bool(rows) and has_next and int(rows[-1]["updated_at"]) > self._until
