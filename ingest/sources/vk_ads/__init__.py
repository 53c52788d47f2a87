"""VK Ads: ad plans, groups and banners, and what each plan cost on each day.

Flow: lists by count and offset -> `ad_plans`, `ad_groups`, `banners`; daily statistics of all ad
plans, 200 ids at a time -> `ad_plan_daily_statistics`. A day that is read again replaces what was
stored: what vanished becomes a tombstone. Statistics go back 366 days; what is stored stays.

Secrets: SOURCES__VK_ADS__CLIENT_ID, SOURCES__VK_ADS__CLIENT_SECRET. Options: see settings.py.
Run: VORONKA_SOURCES=vk_ads voronka refresh
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa

from ingest.advertisers import stored_account_id
from ingest.days import LocalDays
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
from ingest.sources.vk_ads.client import MOSCOW, StatisticsRow, VkAdsClient, from_moscow_text
from ingest.sources.vk_ads.settings import VkAdsSettings
from ingest.windows import Window, missing_windows

if TYPE_CHECKING:
    from dlt.extract import DltSource

    from ingest.chunks import ChunkBudget
    from ingest.config import Settings, SourceRef
    from ingest.stored_state import StoredState

__all__ = ["RAW_TABLES", "build_source"]

AD_PLANS = "ad_plans"
AD_GROUPS = "ad_groups"
BANNERS = "banners"
STATISTICS = "ad_plan_daily_statistics"
REFUSED = "refused_ad_plans"

_STATISTICS_COLUMNS = (
    "report_date",
    "ad_plan_id",
    "shows",
    "clicks",
    "goals",
    "spent",
    "includes_vat",
    "currency",
)

STATISTICS_SCHEMA = pa.schema(
    [
        (name, pa.bool_() if name == "is_deleted" else pa.string())
        for name in (
            "source_account_id",
            "record_id",
            *_STATISTICS_COLUMNS,
            "is_deleted",
            "payload_hash",
            "pull_id",
        )
    ]
)

RAW_TABLES: Mapping[str, pa.Schema] = MappingProxyType(
    {
        AD_PLANS: RECORD_SCHEMA,
        AD_GROUPS: RECORD_SCHEMA,
        BANNERS: RECORD_SCHEMA,
        STATISTICS: STATISTICS_SCHEMA,
    }
)

_DAY = dt.timedelta(days=1)
_HISTORY_DAYS = 366
_DAYS = LocalDays(MOSCOW)
_LONGEST_WINDOW_DAYS = 31
_PARALLEL_WINDOWS = 4
_READS_OF_THE_PLANS = 4
_SECOND_CHANCE_PAUSES = (1.0, 2.0, 4.0)
# The window of a read in full; it begins before any advertisement of VK.
_LONG_AGO = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - naive UTC, as in all windows
_IN_FULL = "in full"
# VK's own words, numbers and times are no phones; a name, a link or an UTM tag may hold one.
_RULES = PrivacyRules(
    keep=frozenset(
        {
            "status",
            "created",
            "updated",
            "last_updated",
            "objective",
            "autobidding_mode",
            "budget_limit",
            "budget_limit_day",
            "date_start",
            "date_end",
            "delivery",
            "moderation_status",
            "ord_marker",
            "price",
            "max_price",
        }
    )
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
    def vk_ads() -> Any:
        for table, items in _reads(ref, settings, state, budget).items():
            yield dlt.resource(
                items,
                name=table,
                primary_key=(),
                write_disposition="append",
            )

    return vk_ads()


def _reads(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> dict[str, Iterator[Any]]:
    """Return what one chunk reads of each table; nothing is asked before the first item."""
    return {
        AD_PLANS: _read_plans(ref, settings, state, budget),
        AD_GROUPS: _read_changes(AD_GROUPS, "last_updated", ref, settings, state, budget),
        BANNERS: _read_changes(BANNERS, "updated", ref, settings, state, budget),
        STATISTICS: _read_statistics(ref, settings, state, budget),
    }


@dataclass
class _Advertiser:
    """What the chunks of one run share: the client, the ad plans, and the windows left to read."""

    account_id: str
    options: VkAdsSettings
    client: VkAdsClient
    privacy: Privacy
    started_at: dt.datetime = field(default_factory=utc_now)
    agreed_at: dt.datetime | None = None
    plans: list[dict[str, Any]] | None = None
    plan: _Plan | None = None

    def close(self) -> None:
        self.client.close()

    def known_plans(self) -> list[dict[str, Any]]:
        if self.plans is None:
            found: dict[str, dict[str, Any]] = {}
            for _ in range(_READS_OF_THE_PLANS):
                before = len(found)
                found.update((_id_of(row), row) for row in self.listed_plans())
                # What one machine of VK does not show another does, and no days are asked of a
                # plan that is on no list.
                if before and len(found) == before:
                    break
            self.plans = list(found.values())
        return self.plans

    def listed_plans(self) -> list[dict[str, Any]]:
        return [row for page in self.client.pages(AD_PLANS) for row in page]

    @property
    def question(self) -> str:
        """Return what is stored beside every amount: another answer changes all days."""
        vat = "gross" if self.options.includes_vat else "net"
        return f"{vat} {self.options.currency_code}"

    @property
    def now(self) -> dt.datetime:
        if self.agreed_at is None:
            self.agreed_at = self.client.agree_on_clock() or self.started_at
        return self.agreed_at


@dataclass
class _Plan:
    """The days of one run, the ad plans to ask about, and those that VK refused to tell of."""

    windows: list[Window]
    ids: list[str]
    refused: set[str]
    refused_before: frozenset[str]
    # Refused in days that are read already, and known since: to be read in all days again.
    owed: set[str]
    noted: str
    done: set[Window] = field(default_factory=set)
    had_second_chance: bool = False
    is_finished: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def left(self) -> list[Window]:
        with self.lock:
            return [window for window in self.windows if window not in self.done]

    def note_done(self, window: Window, refused: set[str]) -> None:
        with self.lock:
            self.done.add(window)
            self.refused |= refused

    @property
    def passed_over(self) -> str:
        """Return the ids whose days the pulls so far do not hold, as one text."""
        owed = set() if self.is_finished else self.owed
        return " ".join(sorted(self.refused | owed, key=_by_number))

    def asked(self, more: Iterable[str]) -> list[str]:
        """Return whom to ask about; who was refused once is not asked again in vain."""
        with self.lock:
            return sorted((set(self.ids) | set(more)) - self.refused, key=_by_number)


def _by_number(text: str) -> tuple[int, str]:
    return len(text), text


def _advertiser(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> _Advertiser:
    shared = budget.shared.get("advertiser")
    if isinstance(shared, _Advertiser):
        return shared
    options = settings.options_of(ref, VkAdsSettings)

    def name_of(account: SourceRef) -> str:
        given = settings.options_of(account, VkAdsSettings)
        named = given.account_name or given.agency_client_name or given.agency_client_id
        return named or account.label

    advertiser = _Advertiser(
        account_id=name_of(ref),
        options=options,
        client=VkAdsClient(ref, settings.home, options),
        privacy=Privacy(settings),
    )
    budget.shared["advertiser"] = advertiser
    # The clock is agreed on before the lists are read: what changes while they are is not missed.
    _ = advertiser.now
    advertiser.account_id = stored_account_id(
        ref,
        settings,
        state,
        table=AD_PLANS,
        record_ids=[_id_of(record) for record in advertiser.known_plans()],
        name_of=name_of,
    )
    if options.account_name not in {None, advertiser.account_id}:
        budget.warn(
            f"{ref}: this advertiser is stored as {advertiser.account_id} and keeps that name;"
            " take account_name out of the settings"
        )
    return advertiser


def _id_of(record: Mapping[str, Any]) -> str:
    return str(record["id"])


def _read_plans(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> Iterator[Any]:
    if budget.is_done(AD_PLANS):
        return
    advertiser = _advertiser(ref, settings, state, budget)
    account_id = advertiser.account_id
    observed_until_at = advertiser.now
    records = advertiser.known_plans()
    pull = Pull(
        pull_id=new_pull_id(),
        source_account_id=account_id,
        resource=AD_PLANS,
        kind="snapshot",
        started_at=advertiser.started_at,
        observed_until_at=observed_until_at,
    )
    batch = record_batch(
        # The statistics read ids of the same records.
        [dict(record) for record in records],
        account_id=account_id,
        pull_id=pull.pull_id,
        id_of=_id_of,
        cursor_of=lambda record: from_moscow_text(record.get("updated")),
        privacy=advertiser.privacy.scrubber(_RULES),
    )

    def read_again() -> Iterator[str]:
        yield from map(_id_of, advertiser.listed_plans())

    yield from land_pull(state, budget, AD_PLANS, pull, [batch], read_again=read_again)
    budget.report(AD_PLANS, 1, 1, len(records))
    budget.finish(AD_PLANS)


def _read_changes(
    table: str,
    changed_field: str,
    ref: SourceRef,
    settings: Settings,
    state: StoredState,
    budget: ChunkBudget,
) -> Iterator[Any]:
    """Yield what changed in a list since it was read last, and all of it once in some days."""
    if budget.is_done(table):
        return
    advertiser = _advertiser(ref, settings, state, budget)
    account_id, options, now = advertiser.account_id, advertiser.options, advertiser.now
    in_full = state.coverage(table, account_id=account_id, content_hash=_IN_FULL)
    covered = state.coverage(table, account_id=account_id)
    is_full = not in_full or now - in_full[-1].end >= _DAY * options.full_list_days
    since = None if is_full else covered[-1].end - dt.timedelta(seconds=options.overlap_seconds)
    pull = Pull(
        pull_id=new_pull_id(),
        source_account_id=account_id,
        resource=table,
        kind="snapshot" if is_full else "delta",
        started_at=utc_now(),
        window_start_at=since or _LONG_AGO,
        window_end_at=now,
        observed_until_at=now,
        content_hash=_IN_FULL if is_full else None,
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for rows in advertiser.client.pages(table, changed_since=since):
            yield record_batch(
                rows,
                account_id=account_id,
                pull_id=pull.pull_id,
                id_of=_id_of,
                cursor_of=lambda record: from_moscow_text(record.get(changed_field)),
                privacy=advertiser.privacy.scrubber(_RULES),
            )

    def read_again() -> Iterator[str]:
        for page in advertiser.client.pages(table):
            yield from map(_id_of, page)

    before = budget.rows
    yield from land_pull(
        state, budget, table, pull, batches(), read_again=read_again if is_full else None
    )
    budget.report(table, 1, 1, budget.rows - before)
    budget.finish(table)


def _read_statistics(
    ref: SourceRef, settings: Settings, state: StoredState, budget: ChunkBudget
) -> Iterator[Any]:
    advertiser = _advertiser(ref, settings, state, budget)
    if advertiser.plan is None:
        advertiser.plan = _planned(advertiser, state)
    plan = advertiser.plan
    while not plan.is_finished:
        yield from _read_days(advertiser, plan, state, budget)
        if budget.error is not None or plan.left:
            break
        healed = [] if plan.had_second_chance else _second_chance(advertiser, plan)
        if healed:
            # Their days are read as the others' were, which are not asked again.
            plan.ids, plan.refused = healed, plan.refused - set(healed)
            plan.owed |= set(healed)
            plan.done.clear()
        else:
            plan.is_finished = True
    if plan.passed_over != plan.noted:
        # Committed with the days in which they are missing, never after them.
        plan.noted = plan.passed_over
        yield _refusal(advertiser, plan.noted)
    if not plan.is_finished:
        return
    if plan.refused:
        named = ", ".join(sorted(plan.refused, key=_by_number)[:5])
        budget.warn(
            f"{ref}: VK tells nothing of {len(plan.refused)} ad plans ({named}); "
            "their days are read as soon as it does"
        )
    if advertiser.client.is_day_nearly_spent and advertiser.client.daily_left is not None:
        left, limit = advertiser.client.daily_left
        budget.warn(f"{ref}: {left} of {limit} requests are left for the day")


def _read_days(
    advertiser: _Advertiser, plan: _Plan, state: StoredState, budget: ChunkBudget
) -> Iterator[Any]:
    account_id = advertiser.account_id

    def read(window: Window, pull_id: str) -> Iterable[pa.RecordBatch]:
        first, last = _DAYS.first_and_last(window)
        stored = state.live_ids(
            STATISTICS, account_id=account_id, prefixes=_DAYS.id_prefixes(window)
        )
        # A plan that is on no list any more has cost what it has cost.
        gone_plans = () if plan.had_second_chance else {_plan_of(record) for record in stored}
        asked = plan.asked(gone_plans)
        rows, refused = advertiser.client.daily_statistics(asked, first, last)
        batch = _statistics_batch(advertiser, rows, pull_id)
        yield batch
        seen = set(batch.column("record_id").to_pylist())
        answered = set(asked) - refused
        vanished = [
            record for record in stored if record not in seen and _plan_of(record) in answered
        ]
        if vanished:
            yield _tombstones(advertiser, vanished, pull_id)
        plan.note_done(window, refused)

    yield from read_windows(
        state,
        budget,
        STATISTICS,
        plan.left,
        read,
        account_id=account_id,
        observed_until_at=advertiser.now,
        content_hash=advertiser.question,
        parallel=_PARALLEL_WINDOWS,
        done_before=len(plan.done),
    )


def _planned(advertiser: _Advertiser, state: StoredState) -> _Plan:
    """Return the days to read: never read, not settled when last read, or refused until now."""
    options, account_id = advertiser.options, advertiser.account_id
    ids = [_id_of(record) for record in advertiser.known_plans()]
    today = _DAYS.day_of(advertiser.now)
    earliest = today - _DAY * (_HISTORY_DAYS - 1)
    start = max(options.start_date or earliest, earliest)
    wanted = Window(_DAYS.midnight(min(start, today)), _DAYS.midnight(today + _DAY))
    settled = _DAYS.settled(
        state.coverage(STATISTICS, account_id=account_id, content_hash=advertiser.question),
        unsettled_days=options.reread_days + 1,
    )
    last_note = state.last_pull(REFUSED, account_id=account_id)
    noted = (last_note.content_hash or "") if last_note is not None else ""
    refused, owed = set(noted.split()), set[str]()
    if refused:
        owed = set(advertiser.client.accepted(noted.split(), today))
        refused -= owed
    owed |= _late_plans(advertiser, state, settled) - refused
    if owed:
        # Their days were passed over in every window of the past.
        settled = []
        ids += sorted(owed - set(ids), key=_by_number)
    return _Plan(
        windows=_DAYS.pieces(
            missing_windows(wanted, settled, overlap=dt.timedelta(0)), days=_LONGEST_WINDOW_DAYS
        ),
        ids=ids,
        refused=refused,
        refused_before=frozenset(refused),
        owed=owed,
        noted=noted,
    )


def _late_plans(advertiser: _Advertiser, state: StoredState, settled: Sequence[Window]) -> set[str]:
    """Return ad plans seen for the first time and made before days that are read already."""
    if not settled:
        return set()
    known = set(state.live_ids(AD_PLANS, account_id=advertiser.account_id))
    read_until = max(window.end for window in settled).replace(tzinfo=dt.UTC).timestamp()
    return {
        _id_of(record)
        for record in advertiser.known_plans()
        if _id_of(record) not in known
        and (from_moscow_text(record.get("created")) or 0.0) < read_until
    }


def _second_chance(advertiser: _Advertiser, plan: _Plan) -> list[str]:
    """Return refused ad plans that VK knows after all: a new one takes a while to be known."""
    plan.had_second_chance = True
    today = _DAYS.day_of(advertiser.now)
    healed: list[str] = []
    for pause in _SECOND_CHANCE_PAUSES:
        waiting = sorted(plan.refused - plan.refused_before - set(healed), key=_by_number)
        if not waiting:
            break
        advertiser.client.pause(pause)
        healed += advertiser.client.accepted(waiting, today)
    return healed


def _refusal(advertiser: _Advertiser, passed_over: str) -> Any:
    noted = Pull(
        pull_id=new_pull_id(),
        source_account_id=advertiser.account_id,
        resource=REFUSED,
        kind="delta",
        started_at=advertiser.started_at,
        observed_until_at=advertiser.now,
        content_hash=passed_over,
    ).finished(row_count=0, stored_count=0)
    return dlt.mark.with_table_name(pulls_table([noted]), PULLS_TABLE)


def _plan_of(record_id: str) -> str:
    return record_id.partition("|")[2]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _statistics_batch(
    advertiser: _Advertiser, rows: Sequence[StatisticsRow], pull_id: str
) -> pa.RecordBatch:
    includes_vat = "true" if advertiser.options.includes_vat else "false"
    records: list[dict[str, Any]] = []
    for day, ad_plan_id, base in rows:
        figures = (_text(base.get(name)) for name in ("shows", "clicks", "goals", "spent"))
        values = (day, ad_plan_id, *figures, includes_vat, advertiser.options.currency_code)
        records.append(
            {
                **dict(zip(_STATISTICS_COLUMNS, values, strict=True)),
                "source_account_id": advertiser.account_id,
                "record_id": f"{day}|{ad_plan_id}",
                "is_deleted": False,
                "payload_hash": blake2b(repr(values).encode(), digest_size=16).hexdigest(),
                "pull_id": pull_id,
            }
        )
    return pa.RecordBatch.from_pylist(records, schema=STATISTICS_SCHEMA)


def _tombstones(advertiser: _Advertiser, record_ids: Sequence[str], pull_id: str) -> pa.RecordBatch:
    rows: list[dict[str, Any]] = []
    for record_id in record_ids:
        day, _, ad_plan_id = record_id.partition("|")
        rows.append(
            {
                "source_account_id": advertiser.account_id,
                "record_id": record_id,
                "report_date": day,
                "ad_plan_id": ad_plan_id,
                "is_deleted": True,
                "payload_hash": payload_hash(b""),
                "pull_id": pull_id,
            }
        )
    return pa.RecordBatch.from_pylist(rows, schema=STATISTICS_SCHEMA)
