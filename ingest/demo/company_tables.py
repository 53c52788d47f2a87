"""The demo firm's own tables, as an owner would keep them in `company/`."""

from __future__ import annotations

import csv
import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ingest.demo import story
from ingest.demo.tables import LOST_STAGE_ID, WON_STAGE_ID, CompanyTables

_PLAN_AMBITION = 1.06
_SPENDS_ON_ADS = ("direct_search", "direct_network", "vk", "marketplace")


def write_company_tables(company_dir: Path, tables: CompanyTables) -> None:
    """Write the plans and maps of the demo firm: channels, pipelines, stages, loss reasons.

    Args:
        company_dir: The folder `company/` of the home; made if it is missing.
        tables: The firm whose past the plans were made from.
    """
    company_dir.mkdir(parents=True, exist_ok=True)
    _write(
        company_dir / "sales_plans.csv",
        ("period_type", "period_start_date", "metric_id", "plan_value"),
        _plans(tables),
    )
    _write(
        company_dir / "channel_map.csv",
        (
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "declared_channel",
            "channel",
            "is_paid",
            "priority",
        ),
        _channels(),
    )
    account = str(tables.account.column("account_id")[0].as_py())
    _write(
        company_dir / "pipeline_roles.csv",
        ("source_system", "source_account_id", "pipeline_id", "pipeline_role"),
        (
            ("amocrm", account, story.SALES_PIPELINE_ID, "sales"),
            ("amocrm", account, story.REPEAT_PIPELINE_ID, "repeat"),
            ("amocrm", account, story.SERVICE_PIPELINE_ID, "service"),
        ),
    )
    # The stage that was given up is known by its number alone: the CRM no longer shows it.
    _write(
        company_dir / "stage_map.csv",
        (
            "source_system",
            "source_account_id",
            "pipeline_id",
            "stage_id",
            "stage_category",
            "funnel_step",
        ),
        (
            ("amocrm", "*", "*", WON_STAGE_ID, "won", "won"),
            ("amocrm", "*", "*", LOST_STAGE_ID, "lost", "lost"),
            ("amocrm", account, story.SALES_PIPELINE_ID, story.REMOVED_STAGE_ID, "open", ""),
        ),
    )
    _write(
        company_dir / "loss_reason_map.csv",
        ("reason", "reason_category"),
        story.LOSS_REASON_CATEGORY.items(),
    )


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _channels() -> list[tuple[object, ...]]:
    names = {
        "direct_search": ("yandex", "cpc", "*"),
        "direct_network": ("yandex", "cpm_network", "*"),
        "seo": ("*", "organic", "*"),
        "vk": ("vk", "*", "*"),
        "marketplace": ("avito", "*", "*"),
        "telegram": ("telegram", "*", "*"),
    }
    rows: list[tuple[object, ...]] = [
        (*patterns, "*", channel, str(channel in _SPENDS_ON_ADS).lower(), 10 * number)
        for number, (channel, patterns) in enumerate(names.items(), start=1)
    ]
    # What a visit's referrer tells, in this firm's words.
    told = {"organic_search": "seo", "direct": "direct_visit"}
    told_rows = [("*", "*", "*", word, channel, "false", 5) for word, channel in told.items()]
    # The advertisements' own messages carry no UTM; the CRM names the source they came through.
    return [*rows, *told_rows, ("*", "*", "*", "Авито", "marketplace", "true", 5)]


def _plans(tables: CompanyTables) -> list[tuple[str, str, str, int]]:
    """Return monthly and weekly plans: the mean of the three months before, and some ambition."""
    facts = _daily_facts(tables)
    today = _day(tables.now)
    first = min((day for days in facts.values() for day in days), default=today)
    rows: list[tuple[str, str, str, int]] = []
    for metric, days in facts.items():
        if not days:
            continue
        by_month: dict[dt.date, float] = defaultdict(float)
        for day, value in days.items():
            by_month[day.replace(day=1)] += value
        month = first.replace(day=1)
        seen = sorted(by_month)
        # The month in which the clock begins is not whole, and neither is the present one.
        whole = [one for one in seen if one > month and one < today.replace(day=1)] or seen
        daily_rate = {
            one: _mean(
                [by_month[before] / _days_in(before) for before in whole if before < one][-3:]
            )
            or by_month[whole[0]] / _days_in(whole[0])
            for one in _months(month, today)
        }
        for one, rate in daily_rate.items():
            rows.append(
                ("month", one.isoformat(), metric, _rounded(rate * _days_in(one) * _PLAN_AMBITION))
            )
        week = first - dt.timedelta(days=first.weekday())
        while week <= today:
            rate = daily_rate[max(week, month).replace(day=1)]
            rows.append(("week", week.isoformat(), metric, _rounded(rate * 7 * _PLAN_AMBITION)))
            week += dt.timedelta(days=7)
    return sorted(rows)


def _daily_facts(tables: CompanyTables) -> dict[str, Counter[dt.date]]:
    came: Counter[dt.date] = Counter()
    for created, contact, deleted, merged, kind in zip(
        *(
            tables.deals.column(name).to_pylist()
            for name in ("created_at", "contact_id", "deleted_at", "merged_at", "kind")
        ),
        strict=True,
    ):
        if contact is not None and deleted is None and merged is None and kind != "service":
            came[_day(created)] += 1
    amount = dict(
        zip(*(tables.deals.column(name).to_pylist() for name in ("deal_id", "amount")), strict=True)
    )
    changes = (tables.amount_changes.column(name).to_pylist() for name in ("deal_id", "to_amount"))
    amount.update(zip(*changes, strict=True))
    sold: Counter[dt.date] = Counter()
    bought: Counter[dt.date] = Counter()
    for deal, changed, stage, pipeline in zip(
        *(
            tables.stage_changes.column(name).to_pylist()
            for name in ("deal_id", "changed_at", "to_stage_id", "to_pipeline_id")
        ),
        strict=True,
    ):
        if stage == WON_STAGE_ID and pipeline != story.SERVICE_PIPELINE_ID:
            bought[_day(changed)] += 1
            sold[_day(changed)] += amount[deal]
    paid: Counter[dt.date] = Counter()
    for paid_at, value, is_refund in zip(
        *(tables.payments.column(name).to_pylist() for name in ("paid_at", "amount", "is_refund")),
        strict=True,
    ):
        paid[_day(paid_at)] += -value if is_refund else value
    return {"came": came, "bought": bought, "sold": sold, "paid": paid}


def _day(moment: int) -> dt.date:
    return dt.datetime.fromtimestamp(moment + story.MOSCOW_OFFSET_SECONDS, tz=dt.UTC).date()


def _days_in(month: dt.date) -> int:
    following = (month + dt.timedelta(days=32)).replace(day=1)
    return (following - month).days


def _months(first: dt.date, last: dt.date) -> list[dt.date]:
    found = [first]
    while (following := (found[-1] + dt.timedelta(days=32)).replace(day=1)) <= last:
        found.append(following)
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _rounded(value: float) -> int:
    """Return a number as a person plans: two or three digits that matter."""
    step = 1 if value < 100 else 10 if value < 2000 else 100_000
    return max(step, round(value / step) * step) if value > 0 else 0
