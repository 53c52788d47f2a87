"""A small published file with believable numbers, for the page to show."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml

from tests.unit.page.facts import fill_facts

FRESH = dt.datetime.fromisoformat("2026-11-21T20:40:00")
HOSTILE = """"><script>alert('x')</script>=HYPERLINK("http://evil") & Ко"""

_MODELS = Path(__file__).resolve().parents[3] / "dbt_project" / "models" / "marts"


def contracts() -> dict[str, dict[str, str]]:
    """Return the columns of every mart with their types, as the models' contracts state them."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(_MODELS.rglob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            columns = {
                column["name"]: column["data_type"]
                for column in model.get("columns", [])
                if "data_type" in column
            }
            if columns:
                found[model["name"]] = columns
    return found


CONTRACTS = contracts()
_METRICS = {
    "came": ("People who came", "Пришло людей"),
    "bought": ("People who bought", "Купило людей"),
    "sold": ("Sold", "Продано"),
    "paid": ("Paid", "Оплачено"),
    "acquisition_cost": ("Cost per client", "Цена клиента"),
    "earned": ("Earned", "Заработано"),
    "recoverable": ("Recoverable", "Можно вернуть"),
}
_STAGES = ("Новая заявка", "Взято в работу", "Квалификация", "Предложение", "Договор", "Оплата")
_REASONS = (
    ("price", "Дорого"),
    ("no_answer", "Не дозвонились"),
    ("competitor", "Ушёл к конкуренту"),
    ("not_target", "Не наш клиент"),
    ("expired", "Закрыто по сроку"),
    ("not_given", "not_given"),
)
_CHANNELS = ("yandex_direct", "organic", "vk_ads", "avito", "referral", "direct", "unattributed")


def write_marts(path: Path, company: str = "full") -> Path:
    """Write a published file.

    Args:
        path: The file to make.
        company: "full", "bare" (no plan, no payments, no ads), "hostile" (names that are code),
            "young" (three weeks of history) or "empty" (tables without rows).

    Returns:
        `path`.
    """
    path.unlink(missing_ok=True)
    connection = duckdb.connect(str(path))
    connection.execute("create schema marts")
    for name, types in CONTRACTS.items():
        columns = ", ".join(f"{column} {kind}" for column, kind in types.items())
        connection.execute(f"create table marts.{name} ({columns})")
    if company != "empty":
        _Company(connection, company).fill()
    connection.execute("checkpoint")
    connection.close()
    return path


@contextmanager
def first_stage_alone(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a new published file that holds its moment, an open stage `new`, and what is inserted.

    Args:
        path: The file to make.
    """
    with duckdb.connect(str(write_marts(path, "empty"))) as connection:
        connection.execute(
            "insert into marts.rpt_owner_panel (fresh_until_at, time_zone) "
            "values (?, 'Europe/Moscow')",
            [FRESH],
        )
        connection.execute(
            "insert into marts.dim_pipeline_stages (stage_key, stage_name, pipeline_name, "
            "stage_category, pipeline_role, is_current) "
            "values ('new', 'New', 'Sales', 'open', 'sales', true)"
        )
        yield connection


class _Company:
    def __init__(self, connection: duckdb.DuckDBPyConnection, company: str) -> None:
        self.connection = connection
        self.kind = company
        self.random = random.Random(7)

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        names = ", ".join(rows[0])
        # Row by row, DuckDB takes five milliseconds for each.
        self.connection.register("rows", pa.Table.from_pylist(rows))
        self.connection.execute(f"insert into marts.{table} ({names}) select {names} from rows")
        self.connection.unregister("rows")

    def fill(self) -> None:
        self._metrics()
        self._panel()
        self._bridge()
        self._funnel()
        self._stages()
        self._rejections()
        if self.kind != "bare":
            self._channels()
        self._trust()
        if self.kind in {"full", "bare"}:
            fill_facts(self.insert, FRESH, _CHANNELS, paid=self.kind == "full")

    def _metrics(self) -> None:
        self.insert(
            "dim_metrics",
            [
                {
                    "metric_id": key, "version": 1, "name_en": en, "name_ru": ru,
                    "definition_en": f"Definition of {en.lower()}: distinct persons by period.",
                    "definition_ru": f"Определение «{ru.lower()}»: разные люди за период.",
                    "valid_from_date": dt.date(2026, 1, 1),
                }
                for key, (en, ru) in _METRICS.items()
            ],
        )  # fmt: skip

    def _periods(self, period_type: str) -> list[dt.date]:
        if period_type == "week":
            weeks = 3 if self.kind == "young" else 40
            newest = dt.date(2026, 11, 16)
            return [newest - dt.timedelta(weeks=n) for n in range(weeks, -1, -1)]
        months = 1 if self.kind == "young" else 16
        found = []
        year, month = 2026, 11
        for _ in range(months + 1):
            found.append(dt.date(year, month, 1))
            year, month = (year - 1, 12) if month == 1 else (year, month - 1)
        return found[::-1]

    def _panel(self) -> None:
        rows: list[dict[str, Any]] = []
        for period_type in ("week", "month"):
            size = 1.0 if period_type == "week" else 4.3
            history: dict[str, list[float | None]] = {key: [] for key in _METRICS}
            periods = self._periods(period_type)
            for at, start in enumerate(periods):
                complete = at < len(periods) - 1
                elapsed = 1.0 if complete else (0.83 if period_type == "week" else 0.69)
                last = at == len(periods) - 2 and period_type == "week"
                came = round(self.random.gauss(262, 13) * size * elapsed)
                bought = round(self.random.gauss(22, 3.2) * size * elapsed)
                if last and self.kind == "full":
                    came = 181
                sold = float(bought) * self.random.gauss(84_000, 5_000)
                spend = self.random.gauss(410_000, 24_000) * size * elapsed
                values: dict[str, float | None] = {
                    "came": came, "bought": bought, "sold": round(sold, 2),
                    "paid": round(sold * 0.87, 2),
                    "acquisition_cost": round(spend / bought, 2) if bought else None,
                    "earned": round(sold - spend, 2), "recoverable": None,
                }  # fmt: skip
                if self.kind == "bare":
                    values |= {"paid": None, "acquisition_cost": None, "earned": None}
                for metric, value in values.items():
                    if metric == "recoverable":
                        continue
                    before = [one for one in history[metric][-4:] if one is not None]
                    usual = sum(before) / 4 * (elapsed if not complete else 1)
                    state, missing = self._state(metric)
                    words = {
                        None: (None, None),
                        "payments": ("invoices and payments", "счета и оплаты"),
                        "ad_spend": ("ad spend", "расходы на рекламу"),
                        "costs": (
                            "costs of goods and salaries (shown: sold minus advertising)",
                            "себестоимость и зарплаты (показано: продано минус реклама)",
                        ),
                        "full_costs": (
                            "salaries, tools and agencies (only advertising is counted)",
                            "зарплаты, сервисы и подрядчики (учтена только реклама)",
                        ),
                    }[missing]
                    plan = None
                    if period_type == "month" and self.kind == "full":
                        plan = {"sold": 8_200_000.0, "came": 1150.0}.get(metric)
                    counted = {"came": came, "bought": bought}.get(metric)
                    rows.append(
                        {
                            "period_type": period_type, "period_start_date": start,
                            "period_end_date": start + dt.timedelta(days=6),
                            "metric_id": metric, "value": value,
                            "value_low": value * 0.9 if value and counted else None,
                            "value_high": value * 1.1 if value and counted else None,
                            "n": counted if counted is not None else bought,
                            "plan_value": plan,
                            "previous_mean_value": usual if len(before) == 4 else None,
                            "state": state, "missing": missing, "missing_en": words[0],
                            "missing_ru": words[1], "fresh_until_at": FRESH,
                            "is_complete": complete, "elapsed_ratio": elapsed,
                            "run_rate_value": value / elapsed if value else None,
                            "currency_code": "RUB", "time_zone": "Europe/Moscow",
                        }
                    )  # fmt: skip
                    history[metric].append(value)
        self.insert("rpt_owner_panel", rows)

    def _state(self, metric: str) -> tuple[str, str | None]:
        if self.kind == "bare" and metric == "paid":
            return "not_connected", "payments"
        if self.kind == "bare" and metric == "acquisition_cost":
            return "not_connected", "ad_spend"
        if metric == "earned":
            return ("not_connected", "ad_spend") if self.kind == "bare" else ("partial", "costs")
        if metric == "acquisition_cost":
            return "partial", "full_costs"
        return "known", None

    def _bridge(self) -> None:
        rows = []
        for period_type in ("week", "month"):
            for start in self._periods(period_type):
                parts = {"repeat": 18, "continuation": 6, "duplicate": 21, "test": 2, "deleted": 0}
                people = 181 if period_type == "week" else 1120
                counts = {"deals": people + sum(parts.values()), **parts, "people": people}
                for position, (step, count) in enumerate(counts.items()):
                    rows.append(
                        {
                            "period_type": period_type, "period_start_date": start, "step": step,
                            "step_position": position, "deal_count": count,
                            "kind_deal_count": count,
                        }
                    )  # fmt: skip
        self.insert("rpt_deal_bridge", rows)

    def _funnel(self) -> None:
        steps = ["entry", *_STAGES[1:], "won"]
        reached = [1.0, 0.82, 0.45, 0.33, 0.19, 0.15, 0.11]
        rows = []
        for back in range(1, 10):
            month = dt.date(2026, 11 - back, 1)
            total = self.random.randint(1050, 1250)
            for definition in ("cohort_reached_or_beyond", "cohort_any", "cohort_strict"):
                factor = {"cohort_any": 0.97, "cohort_strict": 0.86}.get(definition, 1.0)
                counts = [round(total * r * (factor if i else 1)) for i, r in enumerate(reached)]
                for to in range(1, len(steps)):
                    ratio = counts[to] / counts[0]
                    rows.append(
                        {
                            "definition_id": definition, "cohort_month_date": month,
                            "source_system": "amocrm", "source_account_id": "900",
                            "pipeline_id": "1", "from_step": "entry",
                            "to_step": "won" if steps[to] == "won" else str(to),
                            "from_step_name": "entry", "to_step_name": steps[to],
                            "from_step_position": 0, "to_step_position": to,
                            "numerator_count": counts[to], "denominator_count": counts[0],
                            "conversion_ratio": ratio, "conversion_low_ratio": ratio * 0.9,
                            "conversion_high_ratio": min(1, ratio * 1.1),
                            "from_previous_numerator_count": counts[to],
                            "from_previous_denominator_count": counts[to - 1],
                            "from_previous_ratio": counts[to] / counts[to - 1],
                            "is_mature": back > 1, "imputed_ratio": 0.04,
                            "cohort_window_days": 60,
                        }
                    )  # fmt: skip
        self.insert("rpt_funnel_conversions", rows)

    def _stages(self) -> None:
        names = [*_STAGES, "Успешно реализовано", "Закрыто и не реализовано"]
        if self.kind == "hostile":
            names[2] = HOSTILE
        self.names = names
        self.insert(
            "dim_pipeline_stages",
            [
                {
                    "stage_version_key": f"v{n}", "stage_key": f"amocrm:900:1:{n}",
                    "source_system": "amocrm", "source_account_id": "900",
                    "pipeline_id": "1", "pipeline_name": "Продажи", "pipeline_role": "sales",
                    "stage_id": str(n), "stage_name": name, "stage_position": n,
                    "stage_category": {6: "won", 7: "lost"}.get(n, "open"),
                    "is_current": True, "is_deleted": False,
                }
                for n, name in enumerate(names)
            ],
        )  # fmt: skip
        self.insert(
            "dim_pipeline_stages",
            [
                {
                    "stage_version_key": "v20", "stage_key": "amocrm:900:2:20",
                    "source_system": "amocrm", "source_account_id": "900",
                    "pipeline_id": "2", "pipeline_name": "Повторные заказы",
                    "pipeline_role": "repeat", "stage_id": "20", "stage_name": "Обращение клиента",
                    "stage_position": 1, "stage_category": "open", "is_current": True,
                    "is_deleted": False,
                }
            ],
        )  # fmt: skip
        rows = []
        for back in range(6):
            month = dt.date(2026, 11 - back, 1)
            for one in range(6):
                targets = {one + 1: 0.55, 7: 0.3, min(one + 2, 6): 0.1, max(one - 1, 0): 0.05}
                for two, share in targets.items():
                    if two == one:
                        continue
                    rows.append(
                        {
                            "month_date": month, "pipeline_id": "1",
                            "from_stage_key": f"amocrm:900:1:{one}", "from_stage_name": names[one],
                            "to_stage_key": f"amocrm:900:1:{two}", "to_stage_name": names[two],
                            "row_kind": "exit",
                            "transition_count": round(1100 * share * 0.62**one),
                            "measured_count": round(1000 * share * 0.62**one),
                            "open_visit_count": 0, "share_of_exits_ratio": share,
                            "mean_dwell_seconds": 86400 * (one + 1) * 1.7,
                            "median_dwell_seconds": 3600 * (one + 1) * 11,
                        }
                    )  # fmt: skip
        self.insert("rpt_stage_transition_matrix", rows)

    def _rejections(self) -> None:
        matrix, losses, deals = [], [], []
        for back in range(6):
            month = dt.date(2026, 11 - back, 1)
            for stage in range(5):
                for weight, (category, reason) in enumerate(_REASONS):
                    count = max(0, round(self.random.gauss(34 - 5 * weight, 9) * 0.7**stage))
                    if not count:
                        continue
                    matrix.append(
                        {
                            "month_date": month, "from_stage_key": f"amocrm:900:1:{stage}",
                            "stage_name": self.names[stage], "reason_category": category,
                            "reason": reason, "channel": _CHANNELS[weight % 4],
                            "rejection_count": count, "deal_amount": count * 61_500,
                        }
                    )  # fmt: skip
        for number in range(60):
            category, reason = _REASONS[number % 6]
            name = HOSTILE if self.kind == "hostile" else f"Заявка с сайта {4300 + number}"
            url = f"https://demo.amocrm.ru/leads/detail/{4300 + number}"
            if self.kind == "hostile" and number == 1:
                url = "javascript:alert(1)"
            lost = dt.datetime.fromisoformat("2026-11-20T09:00:00") - dt.timedelta(hours=7 * number)
            key = f"amocrm:900:{4300 + number}"
            deals.append(
                {
                    "deal_key": key, "source_system": "amocrm", "source_account_id": "900",
                    "deal_id": str(4300 + number), "deal_url": url, "deal_name": name,
                    "customer_key": f"c{number}", "pipeline_id": "1",
                    "stage_key": "amocrm:900:1:7", "outcome": "lost",
                    "created_at": lost - dt.timedelta(days=9), "closed_at": lost,
                    "deal_amount": 1_450_000 - 21_000 * number, "channel": _CHANNELS[number % 4],
                    "deal_kind": "new", "is_deleted": False,
                }
            )  # fmt: skip
            losses.append(
                {
                    "rejection_key": f"r{number}", "deal_key": key, "loss_number": 1,
                    "rejected_at": lost, "from_stage_key": f"amocrm:900:1:{number % 5}",
                    "reason_category": category, "reason": reason,
                    "channel": _CHANNELS[number % 4],
                    "deal_amount": 1_450_000 - 21_000 * number, "is_superseded": False,
                }
            )  # fmt: skip
        self.insert("rpt_rejection_matrix", matrix)
        self.insert("fct_deal_rejections", losses)
        self.insert("dim_deals", deals)

    def _channels(self) -> None:
        campaigns = {
            "yandex_direct": ["Поиск — бренд", "Поиск — общие", "РСЯ — ретаргет"],
            "vk_ads": ["VK — интересы"],
            "avito": ["Авито — витрина"],
        }
        if self.kind == "hostile":
            campaigns["yandex_direct"][0] = HOSTILE
        dims, rows = [], []
        for channel in _CHANNELS:
            for number, name in enumerate(campaigns.get(channel, [""])):
                key = f"{channel}:900:{number}" if name else None
                if key:
                    dims.append(
                        {
                            "campaign_key": key, "platform": channel, "campaign_id": str(number),
                            "campaign_name": name, "channel": channel,
                        }
                    )  # fmt: skip
                for back in range(9):
                    month = dt.date(2026, 11 - back, 1)
                    spend = round(self.random.gauss(520_000, 60_000) / (number + 1)) if key else 0
                    leads = self.random.randint(40, 160)
                    won = 0.0 if channel == "vk_ads" else round(self.random.uniform(2, 11), 2)
                    rows.append(
                        {
                            "month_date": month, "attribution_model": "last_non_direct",
                            "channel": channel, "campaign_key": key, "spend_amount": spend,
                            "impression_count": spend // 3, "click_count": spend // 60,
                            "lead_count": leads, "won_weight": won, "won_amount": won * 84_000,
                            "won_net_amount": won * 84_000,
                            "cost_per_lead_amount": spend / leads if spend else None,
                            "cost_per_won_amount": spend / won if won and spend else None,
                            "return_on_ad_spend_ratio": won * 84_000 / spend if spend else None,
                        }
                    )  # fmt: skip
                    others = ("first", "last", "linear", "position", "time_decay")
                    rows.extend(rows[-1] | {"attribution_model": model} for model in others)
        self.insert("dim_campaigns", dims)
        self.insert("rpt_channel_economics_monthly", rows)
        recent = [
            row for row in rows
            if row["attribution_model"] == "last_non_direct" and row["spend_amount"]
            and row["month_date"] >= dt.date(2026, 8, 1)
        ]  # fmt: skip
        spenders = []
        for spender, column in (("channel", "channel"), ("campaign", "campaign_key")):
            for name in dict.fromkeys(row[column] for row in recent):
                own = [row for row in recent if row[column] == name]
                spenders.append(
                    {
                        "spender_key": f"{spender}:{name}", "spender": spender,
                        "channel": own[0]["channel"],
                        "campaign_key": name if spender == "campaign" else None,
                        "has_sales": "yes" if any(row["won_weight"] for row in own) else "no",
                        "since_date": dt.date(2026, 8, 1),
                        "spend_amount": sum(row["spend_amount"] for row in own),
                        "click_count": sum(row["click_count"] for row in own),
                        "lead_count": sum(row["lead_count"] for row in own),
                        "unplaced_won_count": 0,
                    }
                )  # fmt: skip
        self.insert("rpt_spend_without_sales", spenders)

    def _trust(self) -> None:
        rows = [
            ("log_state_mismatch", "Share of deals whose log ends in another stage than the deal",
             "Доля сделок, где история расходится с этапом", "ok", 0.004, 0.02, "ratio", 12,
             None, None),
            ("unattributed_leads", "Share of leads without a known channel",
             "Доля заявок без известного канала", "warn", 0.31, 0.2, "ratio", 344,
             "Put UTM marks on every advertisement and connect call tracking.",
             "Поставьте UTM-метки во все объявления и подключите коллтрекинг."),
            ("unmapped_stages", "Stages nobody said the meaning of", "Этапы без указанного смысла",
             "fail", 2, 0, "count", 2, "Add these stages to stage_map.csv: open, won or lost.",
             "Добавьте эти этапы в stage_map.csv: open, won или lost."),
            ("freshness", "How far behind the newest source",
             "Отставание от самого свежего источника", "ok", 3.3, 36, "hours", 1, None, None),
            ("invoices_connected", "Invoices or payments are connected",
             "Подключены счета или оплаты", "not_measurable", None, None, "count", 0,
             "Connect invoices of the CRM or a file of payments.",
             "Подключите счета CRM или файл оплат."),
        ]  # fmt: skip
        names = ("check_id", "check_name_en", "check_name_ru", "status", "value", "limit_value",
                 "unit", "row_count", "what_to_do_en", "what_to_do_ru")  # fmt: skip
        self.insert(
            "rpt_data_trust",
            [
                {
                    "source_system": "amocrm", "source_account_id": "900", "check_position": at,
                    **dict(zip(names, row, strict=True)),
                }
                for at, row in enumerate(rows)
            ],
        )  # fmt: skip
