"""Innocent look-alikes: how many of them each way accuses."""

from orchestration.lib.benchmark.measure import Measure, Way
from orchestration.lib.benchmark.measures import sales


def _innocent(
    look_alike: str, title: str, ours: Way, naive: Way, naive_title: str, naive_source: str
) -> Measure:
    return Measure(
        truth_id="look_alikes",
        measure_id=look_alike,
        title=title,
        kind="alarms",
        true=(
            "select distinct item_id from truth.items"
            f" where look_alike = '{look_alike}' and not is_planted and item_type <> 'sales_rep'"
        ),
        ours=ours,
        naive=naive,
        naive_title=naive_title,
        naive_source=naive_source,
        builds="the detector they look like",
    )


MEASURES = (
    _innocent(
        "honest_same_day_deal",
        "honest deals of one day",
        sales.LATE_RECORDING,
        sales.SAME_DAY,
        "close date < created date, or the same day",
        "FunnelCake admits the honest case and flags it [V1]",
    ),
    _innocent(
        "robot_move_on_payment",
        "moves by a robot on payment",
        sales.LATE_RECORDING,
        sales.BURSTS,
        "three moves within ten minutes, robots too",
        "form-based event capture [L1], batches of pm4py [O14]",
    ),
    _innocent(
        "correction_within_minutes",
        "corrections within minutes",
        sales.PHANTOM_STAGE,
        Way(
            """
            select distinct concat(deals.deal_id, ':', transitions.from_stage_id)
            from marts.fct_deal_stage_transitions as transitions
            inner join marts.dim_deals as deals on transitions.deal_key = deals.deal_key
            where transitions.is_backward
            """,
            {
                "marts.fct_deal_stage_transitions": (
                    "deal_key",
                    "from_stage_id",
                    "is_backward",
                ),
                "marts.dim_deals": ("deal_key", "deal_id"),
            },
        ),
        "every backward move is rework",
        "rework = events - distinct events, pm4py [O14]",
    ),
    _innocent(
        "holiday_gap",
        "leads of a holiday",
        sales.SLOW_RESPONSE,
        sales.SLOW_WALL_CLOCK,
        "first call after an hour by the wall clock",
        "holidays ignored: dbt_zendesk [I: 92], pm4py [I: 558], frappe/helpdesk [I: 2075]",
    ),
    _innocent(
        "rep_without_telephony",
        "leads of a rep without telephony",
        sales.NEVER_CALLED,
        sales.NO_CALL_ON_CARD,
        "no call on the deal's own card",
        "no peer tells a silent rep from one not connected [B3]",
    ),
)
