"""Yandex Metrica: the visits of a site, from the Logs API.

Flow: the counter's record -> `raw_yandex_metrica.counters`; then day windows in the counter's zone,
newest first, each one log: evaluate, order, wait, download its parts, clean -> `visits`. The last
closed days are read again each time, and a day that is read again replaces what was stored: what
vanished becomes a tombstone.

Secrets: SOURCES__YANDEX_METRICA__TOKEN. Options: see settings.py.
Run: VORONKA_SOURCES=yandex_metrica VORONKA_YANDEX_METRICA_COUNTER_ID=12345678 voronka refresh
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dlt
import pyarrow as pa
import pyarrow.compute

from ingest.config import require_secret
from ingest.days import LocalDays, months_before
from ingest.errors import ConfigurationError, SourceContractError
from ingest.landing import land_pull
from ingest.privacy import Privacy, PrivacyRules, load_key
from ingest.records import (
    RECORD_SCHEMA,
    Pull,
    new_pull_id,
    payload_hash,
    record_batch,
    utc_now,
)
from ingest.sources.yandex_metrica.client import VISIT_FIELDS, MetricaClient, limiter_of
from ingest.sources.yandex_metrica.settings import YandexMetricaSettings
from ingest.windows import Window, missing_windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlt.extract import DltSource

    from ingest.chunks import ChunkBudget
    from ingest.config import Settings, SourceRef
    from ingest.stored_state import StoredState

__all__ = ["RAW_TABLES", "VISIT_SCHEMA", "build_source", "visit_batch"]

COUNTERS = "counters"
VISITS = "visits"

VISIT_SCHEMA = pa.schema(
    [
        (name, pa.bool_() if name == "is_deleted" else pa.string())
        for name in (
            "source_account_id",
            "record_id",
            *VISIT_FIELDS,
            "is_deleted",
            "payload_hash",
            "pull_id",
        )
    ]
)

RAW_TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {COUNTERS: RECORD_SCHEMA, VISITS: VISIT_SCHEMA}
)

_DAY = dt.timedelta(days=1)
_HISTORY_MONTHS = 36
_URLS = frozenset({"start_url", "end_url", "referer"})
_TAGS = frozenset(name for name in VISIT_FIELDS if "_utm_" in name)
_compute: Any = pyarrow.compute
# Numbers, times and the words of enumerations are no phones; a counter's name may hold one.
COUNTER_RULES = PrivacyRules(
    drop=frozenset({"owner_login"}),
    keep=frozenset({"status", "code_status", "type", "permission", "create_time",
                    "time_zone_name"}),
)  # fmt: skip


def build_source(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> DltSource:
    """Return a dlt source that reads the next chunk of the counters of one token.

    Args:
        ref: Source and account label.
        settings: The settings of the home folder.
        state: What earlier committed loads stored.
        budget: How much this chunk may read, and where it reports.
    """

    @dlt.source(name=ref.name, max_table_nesting=0)
    def yandex_metrica() -> Any:
        for table, read in ((COUNTERS, _read_counters), (VISITS, _read_visits)):
            yield dlt.resource(
                read(ref, settings, state, budget),
                name=table,
                primary_key=(),
                write_disposition="append",
            )

    return yandex_metrica()


@dataclass
class _Counter:
    """What the chunks of one run share of a counter."""

    account_id: str
    client: MetricaClient
    record: dict[str, Any] = field(default_factory=dict)
    days: LocalDays = field(default_factory=lambda: LocalDays(ZoneInfo("UTC")))
    today: dt.date = dt.date.min
    windows: list[Window] = field(default_factory=list)
    covered: list[Window] = field(default_factory=list)
    is_planned: bool = False

    @property
    def closed_until(self) -> dt.datetime:
        """Return the end of the last closed day, naive UTC: today is never told."""
        return self.days.midnight(self.today)


@dataclass
class _Counters:
    """The counters of one token."""

    options: YandexMetricaSettings
    privacy: Privacy
    # How personal data land: another rule makes the days that were read before unread.
    question: str
    counters: list[_Counter]
    started_at: dt.datetime = field(default_factory=utc_now)
    done: int = 0

    def close(self) -> None:
        for counter in self.counters:
            counter.client.close()


def _counters(ref: SourceRef, settings: Settings, budget: ChunkBudget) -> _Counters:
    shared = budget.shared.get("counters")
    if isinstance(shared, _Counters):
        return shared
    options = settings.options_of(ref, YandexMetricaSettings)
    if not options.counter_id:
        raise ConfigurationError(
            "counter_id is missing",
            account=str(ref),
            action=f"Set counter_id under [source.yandex_metrica.{ref.label}], or "
            "VORONKA_YANDEX_METRICA_COUNTER_ID; the number stands beside the counter's name in "
            "Metrica",
        )
    token = require_secret(settings.home, ref, "token")
    key, place = load_key(settings.home), settings.home.root.resolve()
    limiter = limiter_of(options)
    counters = _Counters(
        options,
        Privacy(settings),
        settings.personal_data,
        [
            _Counter(
                number,
                MetricaClient(
                    options,
                    number,
                    token=token,
                    account=str(ref),
                    mark=blake2b(f"{place}\n{number}".encode(), digest_size=32, key=key).digest(),
                    spool_dir=settings.home.root,
                    limiter=limiter,
                ),
            )
            for number in options.counter_id
        ],
    )
    budget.shared["counters"] = counters
    for counter in counters.counters:
        counter.record = counter.client.counter()
        counter.days = LocalDays(_zone(counter.record, str(ref), number=counter.account_id))
        now = counter.client.server_now() or counters.started_at
        counter.today = counter.days.day_of(now)
    return counters


def _zone(record: Mapping[str, Any], account: str, *, number: str) -> ZoneInfo:
    name = record.get("time_zone_name")
    try:
        return ZoneInfo(str(name or ""))
    except (ValueError, ZoneInfoNotFoundError):
        raise SourceContractError(
            f"counter {number} has the zone {name!r}, which is unknown",
            account=account,
            action="Set the counter's time zone in Metrica",
        ) from None


def _read_counters(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> Iterator[Any]:
    if budget.is_done(COUNTERS):
        return
    counters = _counters(ref, settings, budget)
    for counter in counters.counters:
        pull = Pull(
            pull_id=new_pull_id(),
            source_account_id=counter.account_id,
            resource=COUNTERS,
            kind="snapshot",
            started_at=counters.started_at,
            observed_until_at=counter.closed_until,
        )
        batch = record_batch(
            [dict(counter.record)],
            account_id=counter.account_id,
            pull_id=pull.pull_id,
            id_of=_same(counter.account_id),
            cursor_of=lambda _: None,
            privacy=counters.privacy.scrubber(COUNTER_RULES),
        )
        yield from land_pull(state, budget, COUNTERS, pull, [batch])
    budget.report(COUNTERS, 1, 1, len(counters.counters))
    budget.finish(COUNTERS)


def _same(number: str) -> Callable[[dict[str, Any]], str]:
    """Return what names the only record of a pull."""
    return lambda _: number


def _read_visits(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> Iterator[Any]:
    if budget.is_done(VISITS):
        return
    counters = _counters(ref, settings, budget)
    prepared = Preparation(counters.privacy)
    for counter in counters.counters:
        if not counter.is_planned:
            counter.client.free_own_logs()
            _plan(counter, counters, state)
    total = counters.done + sum(len(counter.windows) for counter in counters.counters)
    budget.report(VISITS, counters.done, total)
    # One log after another: Metrica makes those of a counter in turn, and more of them at once only
    # take more of its 10 GB.
    for counter in counters.counters:
        while counter.windows:
            if budget.is_spent:
                budget.postpone()
                return
            window = counter.windows[0]
            pull = Pull(
                pull_id=new_pull_id(),
                source_account_id=counter.account_id,
                resource=VISITS,
                kind="window",
                started_at=utc_now(),
                window_start_at=window.start,
                window_end_at=window.end,
                observed_until_at=counter.closed_until,
                content_hash=counters.question,
            )
            before = budget.rows
            batches = _window_batches(counter, window, pull.pull_id, state, prepared)
            yield from land_pull(state, budget, VISITS, pull, batches)
            if budget.error is not None:
                return
            counter.windows.pop(0)
            counters.done += 1
            budget.report(VISITS, counters.done, total, budget.rows - before)
    budget.finish(VISITS)


def _plan(counter: _Counter, counters: _Counters, state: StoredState) -> None:
    """Find the days to read: never read, or not complete when they were last read."""
    options = counters.options
    earliest = months_before(counter.today, _HISTORY_MONTHS)
    made = _created(counter)
    start = max(options.start_date or earliest, earliest, made or earliest)
    counter.covered = state.coverage(VISITS, account_id=counter.account_id)
    counter.is_planned = True
    if start >= counter.today:
        return
    wanted = Window(counter.days.midnight(start), counter.closed_until)
    answered = state.coverage(VISITS, account_id=counter.account_id, content_hash=counters.question)
    settled = counter.days.settled(answered, unsettled_days=options.reread_days)
    gaps = missing_windows(wanted, settled, overlap=dt.timedelta(0))
    counter.windows = counter.days.pieces(gaps, days=options.days_per_request)


def _created(counter: _Counter) -> dt.date | None:
    """Return the day on which the counter was made: before it there is nothing to ask for."""
    try:
        made = dt.datetime.fromisoformat(str(counter.record.get("create_time")))
    except ValueError:
        return None
    local = made.astimezone(counter.days.zone) if made.tzinfo is not None else made
    return local.date()


def _window_batches(
    counter: _Counter,
    window: Window,
    pull_id: str,
    state: StoredState,
    prepared: Preparation,
) -> Iterator[pa.RecordBatch]:
    first, last = counter.days.first_and_last(window)
    gone: set[str] = set()
    # Days that nobody read before hold nothing that could have vanished.
    if any(known.overlaps(window) for known in counter.covered):
        days = counter.days.id_prefixes(window)
        gone = set(state.live_ids(VISITS, account_id=counter.account_id, prefixes=days))
    for found in counter.client.visits(first, last):
        batch = prepared.batch(found, counter.account_id, pull_id)
        if gone:
            gone.difference_update(batch.column("record_id").to_pylist())
        yield batch
    if gone:
        yield _tombstones(sorted(gone), counter.account_id, pull_id)


class Preparation:
    """Take personal data out of visits and give them the columns of the raw table."""

    def __init__(self, privacy: Privacy) -> None:
        """Take the home's key.

        Args:
            privacy: The key, and whether anything is masked at all.
        """
        self._keeps = privacy.keeps
        self._mask_url = privacy.mask_url
        self._mask_tag = privacy.mask_tag

    def batch(self, found: pa.RecordBatch, account_id: str, pull_id: str) -> pa.RecordBatch:
        """Return visits as rows of the raw table.

        Args:
            found: Text columns named like the raw table's, as a log has them.
            account_id: The counter.
            pull_id: The pull that read them.
        """
        columns: dict[str, Any] = dict(zip(found.schema.names, found.columns, strict=True))
        if not self._keeps:
            for name in _URLS:
                columns[name] = _masked(columns[name], self._mask_url)
            for name in _TAGS:
                columns[name] = _masked(columns[name], self._mask_tag)
        return visit_batch(columns, account_id, pull_id)


def visit_batch(columns: Mapping[str, Any], account_id: str, pull_id: str) -> pa.RecordBatch:
    """Return visits as rows of the raw table, keyed by day and number.

    A visit's number is unique within a year only, so the number alone would join two people.

    Args:
        columns: Text columns named like the raw table's.
        account_id: The counter.
        pull_id: The pull that read them.
    """
    ordered = [columns[name] for name in VISIT_FIELDS]
    count = len(ordered[0])
    lines: list[str] = _compute.binary_join_element_wise(*ordered, "\t").to_pylist()
    hashes = [blake2b(line.encode(), digest_size=16).hexdigest() for line in lines]
    return pa.RecordBatch.from_arrays(
        [
            _repeated(account_id, count),
            _compute.binary_join_element_wise(columns["date"], columns["visit_id"], "|"),
            *ordered,
            pa.array([False] * count, pa.bool_()),
            pa.array(hashes, pa.string()),
            _repeated(pull_id, count),
        ],
        schema=VISIT_SCHEMA,
    )


def _masked(column: Any, mask: Callable[[str], str]) -> Any:
    """Return a column with each different value masked once: most of them repeat."""
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    clean = [mask(value) for value in values]
    if clean == values:
        return column
    return pa.array(clean, pa.string()).take(encoded.indices)


def _tombstones(record_ids: Sequence[str], account_id: str, pull_id: str) -> pa.RecordBatch:
    empty = payload_hash(b"")
    rows: list[dict[str, Any]] = []
    for record_id in record_ids:
        day, _, visit_id = record_id.partition("|")
        rows.append(
            {
                "source_account_id": account_id,
                "record_id": record_id,
                "date": day,
                "visit_id": visit_id,
                "is_deleted": True,
                "payload_hash": empty,
                "pull_id": pull_id,
            }
        )
    return pa.RecordBatch.from_pylist(rows, schema=VISIT_SCHEMA)


def _repeated(value: str, count: int) -> Any:
    return pa.repeat(pa.scalar(value, pa.string()), count)
