"""Small dashboards and a manifest made of the contracts, for the renderer to work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from orchestration.lib.cards import Card, Dashboard, DashboardFile
from orchestration.lib.metabase.displays import Shown, shown
from orchestration.lib.metabase.formats import Company

MODELS = Path(__file__).resolve().parents[3] / "dbt_project" / "models" / "marts"
COMPANY = Company("ru", "RUB", "Europe/Moscow")

PANEL = """\
select metric_id, period_start_date, period_type, value, previous_mean_value, plan_value,
    elapsed_ratio, run_rate_value, state
from marts.rpt_owner_panel
where {{period}}
order by period_start_date"""
REASONS = """\
select from_stage_name, reason_category, rejection_count, deal_amount
from marts.rpt_rejection_matrix"""
DEALS = """\
select deal_name, deal_url, deal_amount, channel, created_at
from marts.dim_deals
where true [[and {{channel}}]]"""


def both(text: str) -> dict[str, str]:
    """Return a text in both languages."""
    return {"en": text, "ru": f"{text} (ру)"}


def column(label: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    """Return a column of a card."""
    return {"label": both(label), "format": kind, **more}


def card(key: str, display: str, sql: str, columns: Mapping[str, Any], **more: Any) -> Any:
    """Return a card as it stands in a file."""
    return {
        "key": key,
        "title": both(key.capitalize()),
        "description": both("What is counted."),
        "display": display,
        "layout": {"column": 0, "row": 0, "width": 12, "height": 6},
        "sql": sql,
        "columns": dict(columns),
        "empty": both("Nothing."),
        **more,
    }


def file_of(
    cards: Sequence[Mapping[str, Any]],
    name: str = "small",
    filters: Mapping[str, Any] | None = None,
    tabs: Sequence[Mapping[str, Any]] = (),
) -> DashboardFile:
    """Return a dashboard of one tab (or of `tabs`), its cards one below the other."""
    placed = [{**one, "layout": {**one["layout"], "row": 10 * at}} for at, one in enumerate(cards)]
    content = {
        "name": name,
        "order": 1,
        "title": both(name.capitalize()),
        "description": both("A dashboard."),
        "owner": {"name": both("analyst")},
        "exposure": f"{name}_dashboard",
        "methodology": both("Counted by hand."),
        "filters": dict(filters or {}),
        "tabs": list(tabs) or [{"key": "first", "title": both("First"), "cards": placed}],
    }
    return DashboardFile(Path(f"{name}.yaml"), Dashboard.model_validate(content), {})


def only_card(content: Mapping[str, Any]) -> Card:
    """Return the one card of a dashboard."""
    filters = {name: {"label": both(name)} for name in content.get("filters", {})}
    (made,) = file_of([content], filters=filters).dashboard.cards()
    return made


def made(content: Mapping[str, Any], company: Company = COMPANY) -> Shown:
    """Return a card as Metabase gets it."""
    return shown(company, only_card(content))


def manifest() -> dict[str, Any]:
    """Return what the dbt manifest says of the marts, read from their files."""
    nodes: dict[str, Any] = {}
    for path in sorted(MODELS.rglob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            name = f"model.voronka.{model['name']}"
            nodes[name] = {
                "unique_id": name,
                "resource_type": "model",
                "name": model["name"],
                "schema": "marts",
                "config": {"enabled": True},
                "description": model.get("description", ""),
                "columns": {one["name"]: one for one in model.get("columns", [])},
            }
            for number, test in enumerate(model.get("data_tests", [])):
                ((kind, about),) = test.items() if isinstance(test, dict) else ((test, {}),)
                nodes[f"test.voronka.{model['name']}.{number}"] = {
                    "unique_id": f"test.voronka.{model['name']}.{number}",
                    "resource_type": "test",
                    "name": kind,
                    "schema": "tests",
                    "config": {"enabled": True},
                    "attached_node": name,
                    "test_metadata": {"name": kind, "kwargs": about.get("arguments", {})},
                }
    return {"nodes": nodes}
