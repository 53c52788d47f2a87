"""Yandex Direct: campaigns and what each cost on each day.

Flow: campaigns.get -> `raw_yandex_direct.campaigns`; Changes.check says which older days were
corrected; the report service gives whole Moscow days -> `campaign_daily_report`. A day that is read
again replaces what was stored: what vanished becomes a tombstone.

Secrets: SOURCES__YANDEX_DIRECT__TOKEN. Options: see settings.py.
Run: VORONKA_SOURCES=yandex_direct voronka refresh
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dlt
import pyarrow as pa

from ingest.advertisers import stored_account_id
from ingest.config import require_secret
from ingest.days import LocalDays, months_before
from ingest.errors import SourceContractError
from ingest.landing import land_pull, read_windows
from ingest.privacy import Privacy, PrivacyRules
from ingest.records import (
    PULLS_TABLE,
    RECORD_SCHEMA,
    Pull,
    new_pull_id,
    payload_hash,
    pulls_table,
    record_batch,
    utc_now,
)
from ingest.sources.yandex_direct.client import DirectClient, ReportRow
from ingest.sources.yandex_direct.settings import YandexDirectSettings
from ingest.windows import Window, merge_windows, missing_windows

if TYPE_CHECKING:
    from dlt.extract import DltSource

    from ingest.chunks import ChunkBudget
    from ingest.config import Settings, SourceRef
    from ingest.stored_state import StoredState

__all__ = ["RAW_TABLES", "build_source"]

CAMPAIGNS = "campaigns"
REPORT = "campaign_daily_report"
CHANGES = "changes"

_REPORT_COLUMNS = (
    "report_date",
    "campaign_id",
    "campaign_name",
    "impressions",
    "clicks",
    "cost",
    "include_vat",
    "currency",
)

REPORT_SCHEMA = pa.schema(
    [
        (name, pa.bool_() if name == "is_deleted" else pa.string())
        for name in (
            "source_account_id",
            "record_id",
            *_REPORT_COLUMNS,
            "is_deleted",
            "payload_hash",
            "pull_id",
        )
    ]
)

RAW_TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {CAMPAIGNS: RECORD_SCHEMA, REPORT: REPORT_SCHEMA}
)

_DAYS = LocalDays(ZoneInfo("Europe/Moscow"))
_DAY = dt.timedelta(days=1)
_LONGEST_WINDOW_DAYS = 31
_PARALLEL_REPORTS = 4
_HISTORY_MONTHS = 36
_LOW_UNITS = 0.05
# Direct's own ids and enum words are no phones; a campaign's name may hold one.
_RULES = PrivacyRules(
    keep=frozenset({"Type", "Status", "State", "StartDate", "EndDate", "Currency", "TimeZone"})
)


def build_source(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> DltSource:
    """Return a dlt source that reads the next chunk of one advertiser.

    Args:
        ref: Source and account label.
        settings: The settings of the home folder.
        state: What earlier committed loads stored.
        budget: How much this chunk may read, and where it reports.
    """

    @dlt.source(name=ref.name, max_table_nesting=0)
    def yandex_direct() -> Any:
        for table, read in ((CAMPAIGNS, _read_campaigns), (REPORT, _read_report)):
            yield dlt.resource(
                read(ref, settings, state, budget),
                name=table,
                primary_key=(),
                write_disposition="append",
            )

    return yandex_direct()


@dataclass
class _Advertiser:
    """What the chunks of one run share: the client, the campaigns, and the windows left to read."""

    account_id: str
    options: YandexDirectSettings
    client: DirectClient
    privacy: Privacy
    started_at: dt.datetime = field(default_factory=utc_now)
    campaigns: list[dict[str, Any]] | None = None
    plan: _Plan | None = None

    def close(self) -> None:
        self.client.close()

    def known_campaigns(self) -> list[dict[str, Any]]:
        if self.campaigns is None:
            self.campaigns = self.client.campaigns()
        return self.campaigns

    @property
    def now(self) -> dt.datetime:
        return self.client.agreed_now() or self.started_at

    @property
    def currency(self) -> str | None:
        if self.options.currency_code is not None:
            return self.options.currency_code
        found = {item["Currency"] for item in self.known_campaigns() if item.get("Currency")}
        if len(found) > 1:
            raise SourceContractError(
                f"campaigns name several currencies ({', '.join(sorted(found))})",
                account=self.account_id,
                action="Set currency_code in the options of this account",
            )
        return found.pop() if found else None


@dataclass
class _Plan:
    """The windows of one run and the cursor to store when all are read."""

    windows: list[Window]
    fresh_from: dt.datetime
    covered: list[Window]
    checked_from: dt.datetime | None
    checked_until: dt.datetime
    salt: str
    done: set[Window] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def left(self) -> list[Window]:
        with self.lock:
            return [window for window in self.windows if window not in self.done]

    def note_done(self, window: Window) -> None:
        with self.lock:
            self.done.add(window)

    def salt_of(self, window: Window) -> str:
        """Return the salt of days that may differ from a report made some hours ago."""
        was_read = any(known.overlaps(window) for known in self.covered)
        return self.salt if was_read or window.end > self.fresh_from else ""


def _advertiser(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> _Advertiser:
    shared = budget.shared.get("advertiser")
    if isinstance(shared, _Advertiser):
        return shared
    options = settings.options_of(ref, YandexDirectSettings)

    def name_of(account: SourceRef) -> str:
        named = settings.options_of(account, YandexDirectSettings).client_login
        return named or account.label

    advertiser = _Advertiser(
        account_id=name_of(ref),
        options=options,
        client=DirectClient(
            options, token=require_secret(settings.home, ref, "token"), account=str(ref)
        ),
        privacy=Privacy(settings),
    )
    budget.shared["advertiser"] = advertiser
    advertiser.account_id = stored_account_id(
        ref,
        settings,
        state,
        table=CAMPAIGNS,
        record_ids=[_id_of(record) for record in advertiser.known_campaigns()],
        name_of=name_of,
    )
    return advertiser


def _id_of(record: Mapping[str, Any]) -> str:
    return str(record["Id"])


def _read_campaigns(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> Iterator[Any]:
    if budget.is_done(CAMPAIGNS):
        return
    advertiser = _advertiser(ref, settings, state, budget)
    account_id = advertiser.account_id
    records = advertiser.known_campaigns()
    pull = Pull(
        pull_id=new_pull_id(),
        source_account_id=account_id,
        resource=CAMPAIGNS,
        kind="snapshot",
        started_at=advertiser.started_at,
        observed_until_at=advertiser.now,
    )
    batch = record_batch(
        # The report resource reads ids and currency of the same records.
        [dict(record) for record in records],
        account_id=account_id,
        pull_id=pull.pull_id,
        id_of=_id_of,
        cursor_of=lambda _: None,
        privacy=advertiser.privacy.scrubber(_RULES),
    )

    def read_again() -> Iterator[str]:
        yield from map(_id_of, advertiser.client.campaigns())

    yield from land_pull(state, budget, CAMPAIGNS, pull, [batch], read_again=read_again)
    budget.report(CAMPAIGNS, 1, 1, len(records))
    units = advertiser.client.units_left
    if units is not None and units[0] < units[1] * _LOW_UNITS:
        budget.warn(f"{ref}: {units[0]} of {units[1]} API units are left for the day")
    budget.finish(CAMPAIGNS)


def _read_report(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> Iterator[Any]:
    if budget.is_done(REPORT):
        return
    advertiser = _advertiser(ref, settings, state, budget)
    currency = advertiser.currency
    if advertiser.plan is None:
        advertiser.plan = _planned(advertiser, state)
    plan = advertiser.plan

    def read(window: Window, pull_id: str) -> Iterable[pa.RecordBatch]:
        first, last = _DAYS.first_and_last(window)
        rows = advertiser.client.daily_report(first, last, plan.salt_of(window))
        batch = _report_batch(advertiser, rows, currency, pull_id)
        yield batch
        seen = set(batch.column("record_id").to_pylist())
        stored = state.live_ids(
            REPORT, account_id=advertiser.account_id, prefixes=_DAYS.id_prefixes(window)
        )
        gone = [record_id for record_id in stored if record_id not in seen]
        if gone:
            yield _tombstones(advertiser, gone, pull_id)
        plan.note_done(window)

    yield from read_windows(
        state,
        budget,
        REPORT,
        plan.left,
        read,
        account_id=advertiser.account_id,
        observed_until_at=advertiser.now,
        parallel=_PARALLEL_REPORTS,
        done_before=len(plan.done),
    )
    if budget.error is not None or plan.left:
        return
    checked = Pull(
        pull_id=new_pull_id(),
        source_account_id=advertiser.account_id,
        resource=CHANGES,
        kind="delta",
        started_at=advertiser.started_at,
        window_start_at=plan.checked_from,
        window_end_at=plan.checked_until,
        observed_until_at=advertiser.now,
    ).finished(row_count=0, stored_count=0)
    # The cursor is committed with the days it asked for, never before them.
    yield dlt.mark.with_table_name(pulls_table([checked]), PULLS_TABLE)
    budget.finish(REPORT)


def _planned(advertiser: _Advertiser, state: StoredState) -> _Plan:
    """Return the windows to read: never read, not settled when last read, or corrected since."""
    options, account_id = advertiser.options, advertiser.account_id
    campaign_ids = [int(record["Id"]) for record in advertiser.known_campaigns()]
    now = advertiser.now
    today = _DAYS.day_of(now)
    earliest = months_before(today, _HISTORY_MONTHS)
    start = max(options.start_date or earliest, earliest)
    wanted = Window(_DAYS.midnight(min(start, today)), _DAYS.midnight(today + _DAY))
    covered = state.coverage(REPORT, account_id=account_id)
    settled = _DAYS.settled(covered, unsettled_days=options.reread_days + 1)
    windows = missing_windows(wanted, settled, overlap=dt.timedelta(0))

    last_check = state.last_pull(CHANGES, account_id=account_id)
    checked_from = last_check.window_end_at if last_check is not None else None
    checked_until = now
    if checked_from is not None and campaign_ids:
        border, checked_until = advertiser.client.changed_since(campaign_ids, checked_from)
        if border is not None and _DAYS.midnight(border) < wanted.end:
            corrected = Window(max(_DAYS.midnight(border), wanted.start), wanted.end)
            windows = merge_windows([*windows, corrected])
    return _Plan(
        windows=_DAYS.pieces(windows, days=_LONGEST_WINDOW_DAYS),
        fresh_from=_DAYS.midnight(today - _DAY * options.reread_days),
        covered=covered,
        checked_from=checked_from,
        checked_until=checked_until,
        salt=advertiser.started_at.isoformat(),
    )


def _report_batch(
    advertiser: _Advertiser, rows: Sequence[ReportRow], currency: str | None, pull_id: str
) -> pa.RecordBatch:
    include_vat = advertiser.options.include_vat
    records: dict[str, dict[str, Any]] = {}
    for day, campaign_id, name, impressions, clicks, cost in rows:
        record_id = f"{day}|{campaign_id}"
        if record_id in records:
            raise SourceContractError(
                f"the daily report has two rows for campaign {campaign_id} on {day}",
                account=advertiser.account_id,
            )
        shown = None if name is None else advertiser.privacy.mask_text(name, only_plain=True)
        values = (day, campaign_id, shown, impressions, clicks, cost, include_vat, currency)
        records[record_id] = {
            **dict(zip(_REPORT_COLUMNS, values, strict=True)),
            "source_account_id": advertiser.account_id,
            "record_id": record_id,
            "is_deleted": False,
            "payload_hash": blake2b(repr(values).encode(), digest_size=16).hexdigest(),
            "pull_id": pull_id,
        }
    return pa.RecordBatch.from_pylist(list(records.values()), schema=REPORT_SCHEMA)


def _tombstones(advertiser: _Advertiser, record_ids: Sequence[str], pull_id: str) -> pa.RecordBatch:
    rows: list[dict[str, Any]] = []
    for record_id in record_ids:
        day, _, campaign_id = record_id.partition("|")
        rows.append(
            {
                "source_account_id": advertiser.account_id,
                "record_id": record_id,
                "report_date": day,
                "campaign_id": campaign_id,
                "is_deleted": True,
                "payload_hash": payload_hash(b""),
                "pull_id": pull_id,
            }
        )
    return pa.RecordBatch.from_pylist(rows, schema=REPORT_SCHEMA)
