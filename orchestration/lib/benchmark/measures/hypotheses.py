"""Hypotheses: what an experiment of the company really did."""

from orchestration.lib.benchmark.measure import Measure, Way

_VERDICTS = {"marts.rpt_hypotheses": ("hypothesis_id", "verdict")}
_BUILDS = "a register of hypotheses with verdicts: rpt_hypotheses"


def _hypothesis(truth_id: str, title: str) -> Measure:
    return Measure(
        truth_id=truth_id,
        measure_id=truth_id,
        title=title,
        # A verdict on one hypothesis has no precision: what it says of the others stands below.
        kind="recalled" if truth_id == "hypothesis_worked" else "alarms",
        true=f"select item_id from truth.items where truth_id = '{truth_id}' and is_planted",
        ours=Way(
            "select hypothesis_id from marts.rpt_hypotheses where verdict = 'supported'",
            _VERDICTS,
        ),
        naive=Way(
            f"""
            with tried as (
                select
                    item_id,
                    make_timestamp(moment_at * 1000000) as starts_at,
                    split_part(label, ':', 1) as unit,
                    split_part(label, ':', 2) as unit_id,
                    (
                        select max(value)::bigint::varchar
                        from truth.sizes
                        where truth_id = '{truth_id}' and parameter = 'metric_stage'
                    ) as stage_id
                from truth.items
                where truth_id = '{truth_id}' and is_planted
            ),

            told as (
                select
                    tried.item_id,
                    deals.created_at >= tried.starts_at as is_after,
                    case
                        when tried.stage_id is null then deals.outcome = 'won'
                        else exists (
                            select 1
                            from marts.fct_deal_stage_transitions as transitions
                            where
                                transitions.deal_key = deals.deal_key
                                and transitions.to_stage_id = tried.stage_id
                                and transitions.transitioned_at
                                <= deals.created_at + interval 30 day
                        )
                    end as is_success
                from tried
                inner join marts.dim_deals as deals
                    on
                        case tried.unit
                            when 'sales_rep'
                                then split_part(deals.sales_rep_key, ':', 3) = tried.unit_id
                            when 'channel' then deals.channel = tried.unit_id
                            else true
                        end
                        and deals.created_at
                        between tried.starts_at - interval 30 day
                        and tried.starts_at + interval 30 day
            )

            select item_id
            from told
            group by item_id
            having
                avg(is_success::int) filter (is_after)
                > avg(is_success::int) filter (not is_after)
            """,
            {
                "marts.dim_deals": (
                    "deal_key",
                    "outcome",
                    "sales_rep_key",
                    "channel",
                    "created_at",
                ),
                "marts.fct_deal_stage_transitions": (
                    "deal_key",
                    "to_stage_id",
                    "transitioned_at",
                ),
            },
        ),
        naive_title="better in the 30 days after than in the 30 before",
        naive_source="plain before and after, the usual dashboard; [sim] in definitions 13, 16",
        builds=_BUILDS,
    )


MEASURES = (
    _hypothesis("hypothesis_worked", "the one that worked, a success"),
    _hypothesis("hypothesis_failed", "the one that did nothing, a success"),
    _hypothesis("hypothesis_regression", "chance that looks like work, a success"),
)
