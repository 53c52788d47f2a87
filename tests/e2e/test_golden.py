"""The eight-deal golden log, by both roads, to the values worked out by hand."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.exports import ACCOUNTS
from tests.product import Product

pytestmark = pytest.mark.e2e
GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def expected(name: str) -> list[tuple[str, ...]]:
    with (GOLDEN / "expected" / f"{name}.csv").open() as rows:
        return [tuple(row) for row in list(csv.reader(rows))[1:]]


def as_text(rows: list[tuple[object, ...]]) -> list[tuple[str, ...]]:
    return [tuple("" if cell is None else str(cell) for cell in row) for row in rows]


@dataclass(frozen=True)
class Account:
    """The log as one road brought it into a home where other firms are too."""

    home: Product
    condition: str

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query whose {account} stands for the condition on its rows."""
        assert "{account}" in sql
        return self.home.query(sql.format(account=self.condition))


@pytest.fixture(scope="module", params=["files", "amocrm"])
def golden(request: pytest.FixtureRequest, small_firms: Product) -> Account:
    conditions = {
        "files": "(source_system = 'files' and source_account_id = 'golden')",
        "amocrm": "source_system = 'amocrm'",
    }
    return Account(small_firms, conditions[request.param])


# Native ids differ between the two roads (amoCRM's are numbers), names do not.
NAMED = """
    with stages as (
        select stage_key, replace(replace(replace(stage_name, 'Stage ', ''), 'Won', 'W'), 'Lost', 'L') as stage
        from marts.dim_pipeline_stages where is_current and {account}
    ), deals as (
        select deal_key, replace(deal_name, 'Deal ', '') as deal from marts.dim_deals where {account}
    )
"""


def test_the_home_holds_the_log_twice_and_nothing_else_beside_the_exports(
    small_firms: Product,
) -> None:
    accounts = small_firms.query(
        "select source_system, source_account_id, count(*) from marts.dim_deals group by all"
    )
    others = [("files", name, 30) for name in ACCOUNTS]
    ((amocrm,),) = small_firms.query(
        "select distinct source_account_id from marts.dim_deals where source_system = 'amocrm'"
    )
    assert sorted(accounts) == sorted([("amocrm", amocrm, 8), ("files", "golden", 8), *others])


def test_every_transition_has_its_stage_day_direction_skips_and_dwell(golden: Account) -> None:
    rows = golden.query(
        NAMED
        + """
        select deals.deal, transitions.transition_number, origins.stage, targets.stage,
            date_diff('day', timestamp '2026-01-01', transitions.transitioned_at),
            transitions.direction, transitions.skipped_stage_count,
            (transitions.dwell_seconds / 86400)::int
        from marts.fct_deal_stage_transitions as transitions
        join deals using (deal_key)
        left join stages as origins on origins.stage_key = transitions.from_stage_key
        join stages as targets on targets.stage_key = transitions.to_stage_key
        order by 1, 2
    """
    )
    assert as_text(rows) == expected("transitions")


def test_dwell_is_exact_to_the_second(golden: Account) -> None:
    assert golden.query(
        "select count(*), count(*) filter (where dwell_seconds % 86400 <> 0) "
        "from marts.fct_deal_stage_transitions join marts.dim_deals using (deal_key) where {account}"
    ) == [(len(expected("transitions")), 0)]


def test_visits_entered_per_stage(golden: Account) -> None:
    rows = golden.query(
        NAMED
        + """
        select stages.stage, count(*) from marts.fct_deal_stage_visits join stages using (stage_key)
        where deal_key in (select deal_key from deals) group by 1
    """
    )
    assert sorted(as_text(rows)) == sorted(expected("visits_entered"))


def test_transition_counts(golden: Account) -> None:
    rows = golden.query(
        NAMED
        + """
        select origins.stage, targets.stage, sum(matrix.transition_count)::int
        from marts.rpt_stage_transition_matrix as matrix
        join stages as origins on origins.stage_key = matrix.from_stage_key
        join stages as targets on targets.stage_key = matrix.to_stage_key
        group by all
    """
    )
    assert sorted(as_text(rows)) == sorted(expected("transition_counts"))


def test_open_visits_last_until_the_end_of_observation(golden: Account) -> None:
    rows = golden.query(
        NAMED
        + """
        select deals.deal, stages.stage, (visits.dwell_seconds / 86400)::int
        from marts.fct_deal_stage_visits as visits
        join deals using (deal_key) join stages using (stage_key)
        where visits.is_censored and stages.stage not in ('W', 'L')
        order by 1
    """
    )
    assert as_text(rows) == expected("open_visits")


def test_strict_any_and_reached_or_beyond(golden: Account) -> None:
    rows = golden.query("""
        select definition_id, lower(to_step), sum(numerator_count)::int
        from marts.rpt_funnel_conversions
        where definition_id like 'cohort%' and {account} group by all
    """)
    assert sorted(as_text(rows)) == sorted(expected("conversions"))


def test_win_rates_and_the_misleading_product(golden: Account) -> None:
    rows = dict(
        golden.query("""
        select definition_id, round(sum(numerator_count) / sum(denominator_count), 6)
        from marts.rpt_funnel_conversions where definition_id like 'win_rate%' and {account} group by 1
    """)
    )
    assert rows["win_rate_closed"] == pytest.approx(4 / 6, abs=1e-6)
    assert rows["win_rate_created"] == pytest.approx(4 / 8, abs=1e-6)
    ((product,),) = golden.query(
        "select conversion_ratio from marts.rpt_funnel_conversions where definition_id = 'product_of_stage_rates' and {account}"
    )
    assert product == pytest.approx(20 / 147, abs=1e-6)


def test_flags(golden: Account) -> None:
    rows = golden.query(
        NAMED
        + "select deal from deals join marts.dim_deals using (deal_key) where is_mid_funnel_start"
    )
    assert rows == [("H",)]
    superseded = golden.query(
        NAMED
        + """
        select deal, loss_number, is_superseded from marts.fct_deal_rejections join deals using (deal_key) order by 1
    """
    )
    assert superseded == [("C", 1, False), ("D", 1, False), ("H", 1, True)]
