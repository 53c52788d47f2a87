"""The funnel: how many come, how many buy, which way deals really went."""

from orchestration.lib.benchmark.measure import Measure, Way
from orchestration.lib.benchmark.measures.needs import EVENTS, LEADS

# Moscow has one offset; months of the demo company are Moscow's.
_MONTH = "cast(date_trunc('month', {} + interval 3 hour) as date)"

# Each morning's pull, at eight in Moscow, is the first to show what happened since the one before.
_NEXT_PULL = "date_trunc('day', {} - interval 5 hour) + interval 29 hour"

# Requests of the sales pipeline that came in months which ended over 90 days ago.
_OLD_ENOUGH = "< (select date_trunc('month', now_at - interval 90 day) from truth.clock)::date"
_WON_RATIO = f"""
    select count(*) filter (outcome = 'won') / nullif(count(*), 0)::double, count(*)
    from truth.deals
    where
        kind in ('new', 'repeat', 'continuation')
        and not is_deleted
        and not is_gone
        and pipeline_id = (select mode(pipeline_id) from truth.deals)
        and {_MONTH.format("created_at")} {_OLD_ENOUGH}
"""


def _our_ratio(definition: str, from_step: str) -> Way:
    return Way(
        f"""
        select sum(numerator_count) / nullif(sum(denominator_count), 0)::double
        from marts.rpt_funnel_conversions
        where
            definition_id = '{definition}'
            and from_step = '{from_step}'
            and to_step = 'won'
            and pipeline_id = (select mode(pipeline_id) from truth.deals)
            and cohort_month_date {_OLD_ENOUGH}
        """,
        {
            "marts.rpt_funnel_conversions": (
                "definition_id",
                "cohort_month_date",
                "pipeline_id",
                "from_step",
                "to_step",
                "numerator_count",
                "denominator_count",
            )
        },
    )


# A move is the deal, the two stages and which time it made this very move.
_MOVE = (
    "concat_ws('|', deal_id, from_stage_id, to_stage_id,"
    " row_number() over (partition by deal_id, from_stage_id, to_stage_id order by position))"
)

MEASURES = (
    Measure(
        truth_id="funnel",
        measure_id="won_ratio",
        title="share of requests that buy",
        kind="number",
        unit="points",
        true=_WON_RATIO,
        ours=_our_ratio("win_rate_created", "created"),
        naive=Way(
            """
            select
                count(*) filter (status_id = '142')
                / nullif(count(*), 0)::double
            from staging.stg_amocrm__leads
            where
                status_id in ('142', '143')
                and not coalesce(is_deleted, false)
                and pipeline_id = (select mode(pipeline_id) from truth.deals)
                and closed_at > (select now_at - interval 90 day from truth.clock)
            """,
            LEADS,
        ),
        naive_title="won / (won + lost), closed in the last 90 days",
        naive_source="closed win rate of V3, V4 and of dbt_salesforce [O2]; bias: complaint 16, V6",
    ),
    Measure(
        truth_id="funnel",
        measure_id="funnel_conversion",
        title="conversion of the whole funnel",
        kind="number",
        unit="points",
        true=_WON_RATIO,
        ours=_our_ratio("cohort_any", "entry"),
        naive=Way(
            """
            with exits as (
                select from_stage_key, to_stage_key, count(*) as exit_count
                from marts.fct_deal_stage_transitions
                where from_stage_key is not null
                group by all
            ),

            steps as (
                select
                    stage_key,
                    lead(stage_key) over (order by stage_position) as next_stage_key
                from marts.dim_pipeline_stages
                where
                    is_current
                    and not is_unsorted
                    and stage_category in ('open', 'won')
                    and pipeline_id = (select mode(pipeline_id) from truth.deals)
            ),

            rates as (
                select
                    steps.stage_key,
                    coalesce(sum(exit_count) filter (to_stage_key = next_stage_key), 0)
                    / sum(exit_count)::double as rate
                from steps
                inner join exits on steps.stage_key = exits.from_stage_key
                where steps.next_stage_key is not null
                group by all
            )

            select product(rate) from rates
            """,
            {
                "marts.fct_deal_stage_transitions": ("from_stage_key", "to_stage_key"),
                "marts.dim_pipeline_stages": (
                    "stage_key",
                    "pipeline_id",
                    "stage_position",
                    "stage_category",
                    "is_current",
                    "is_unsorted",
                ),
            },
        ),
        naive_title="product of neighbouring stage rates",
        naive_source="direct transitions, ClosingDealz [G3], Engagio [G4]; real case V7: 7 for 89",
    ),
    Measure(
        truth_id="funnel",
        measure_id="stage_moves",
        title="moves of deals between stages",
        kind="found",
        true=f"""
            with moves as (
                select
                    stage_changes.deal_id,
                    stage_changes.from_stage_id,
                    stage_changes.to_stage_id,
                    stage_changes.change_number as position
                from truth.stage_changes
                inner join truth.deals on stage_changes.deal_id = deals.deal_id
                where not deals.is_gone
            )

            select {_MOVE} from moves
        """,
        ours=Way(
            f"""
            with moves as (
                select
                    deals.deal_id,
                    transitions.from_stage_id,
                    transitions.to_stage_id,
                    transitions.transition_number as position
                from marts.fct_deal_stage_transitions as transitions
                inner join marts.dim_deals as deals on transitions.deal_key = deals.deal_key
                where transitions.direction <> 'entry'
            )

            select {_MOVE} from moves
            """,
            {
                "marts.fct_deal_stage_transitions": (
                    "deal_key",
                    "from_stage_id",
                    "to_stage_id",
                    "transition_number",
                    "direction",
                ),
                "marts.dim_deals": ("deal_key", "deal_id"),
            },
        ),
        naive=Way(
            f"""
            with snapshots as (
                select
                    entity_id as deal_id,
                    cast(created_at as date) as position,
                    arg_max(after_status_id, (created_at, record_id)) as to_stage_id
                from staging.stg_amocrm__events
                where event_type = 'lead_status_changed'
                group by all
            ),

            lagged as (
                select
                    *,
                    lag(to_stage_id) over (partition by deal_id order by position)
                        as from_stage_id
                from snapshots
            ),

            moves as (select * from lagged where from_stage_id <> to_stage_id)

            select {_MOVE} from moves
            """,
            EVENTS,
        ),
        naive_title="LAG over daily snapshots",
        naive_source="report_opportunity_stage_progression of GitLab analytics [O4]",
    ),
    Measure(
        truth_id="funnel",
        measure_id="came",
        title="people who came, by month",
        kind="breakdown",
        true=f"""
            select {_MONTH.format("created_at")} as month_date, count(distinct person_id), count(*)
            from truth.deals
            where kind in ('new', 'repeat') and not is_deleted and not is_gone
            group by all
        """,
        ours=Way(
            """
            select period_start_date, value
            from marts.rpt_owner_panel
            where metric_id = 'came' and period_type = 'month'
            """,
            {
                "marts.rpt_owner_panel": (
                    "metric_id",
                    "period_type",
                    "period_start_date",
                    "value",
                )
            },
        ),
        naive=Way(
            f"""
            select {_MONTH.format("created_at")} as month_date, count(*)
            from staging.stg_amocrm__leads
            where not coalesce(is_deleted, false)
            group by all
            """,
            LEADS,
        ),
        naive_title="every application counts",
        naive_source="applications of Roistat, over all of them [R1]",
    ),
    Measure(
        truth_id="funnel",
        measure_id="sold",
        title="money sold, by month",
        kind="breakdown",
        true=f"""
            select {_MONTH.format("closed_at")} as month_date, sum(amount), count(*)
            from truth.deals
            where outcome = 'won' and kind <> 'test' and not is_deleted and not is_gone
            group by all
        """,
        ours=Way(
            """
            select period_start_date, value
            from marts.rpt_owner_panel
            where metric_id = 'sold' and period_type = 'month'
            """,
            {
                "marts.rpt_owner_panel": (
                    "metric_id",
                    "period_type",
                    "period_start_date",
                    "value",
                )
            },
        ),
        naive=Way(
            f"""
            select
                {_MONTH.format(_NEXT_PULL.format("closed_at"))} as month_date,
                sum(price)
            from staging.stg_amocrm__leads
            where status_id = '142' and not coalesce(is_deleted, false)
            group by all
            """,
            LEADS,
        ),
        naive_title="a sale is dated by the first daily upload that shows it paid",
        naive_source="orders of Yandex Metrica without finish_date_time [R6, R7]",
    ),
)
