{{ config(materialized="table") }}

with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

moves as (

    select * from {{ ref("int_stage_changes_sequenced") }}

),

accounts as (

    select * from {{ ref("int_accounts_unioned") }}

),

stages as (

    select * from {{ ref("int_pipeline_stages_mapped") }}

),

spans as (

    select * from {{ ref("int_pipeline_stages_ranked") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

exchange_rates as (

    select * from {{ ref("int_exchange_rates_dated") }}

),

entries as (

    select
        moves.deal_key,
        moves.is_created_stage,
        moves.is_mid_funnel_stage,
        moves.is_left_truncated,
        moves.is_log_kept,
        moves.is_dwell_measured
    from moves
    where moves.transition_number = 1

),

second_stages as (

    select
        moves.deal_key,
        moves.is_mid_funnel_stage
    from moves
    where moves.transition_number = 2

),

last_moves as (

    select
        moves.deal_key,
        moves.to_stage_key,
        coalesce(spans.stage_category, 'open') as to_stage_category,
        spans.pipeline_id as to_pipeline_id,
        spans.pipeline_role in ('service', 'ignore') as is_in_service,
        moves.stated_outcome,
        moves.transitioned_at
    from moves
    left join spans on moves.to_span_number = spans.span_number
    where moves.next_at is null

),

-- Deals that went on to fulfilment or service keep what the sales pipeline said last.
left_sales as (

    select last_moves.deal_key
    from last_moves
    where last_moves.stated_outcome is null

),

earlier_outcomes as (

    select
        moves.deal_key,
        moves.stated_outcome,
        spans.pipeline_id,
        moves.transitioned_at
    from moves
    inner join left_sales on moves.deal_key = left_sales.deal_key
    left join spans on moves.to_span_number = spans.span_number
    where moves.stated_outcome is not null
    qualify row_number() over (
        partition by moves.deal_key
        order by moves.transition_number desc
    ) = 1

),

-- Who asked in another pipeline first is a client whose deal went on to be served.
came_from_elsewhere as (

    select distinct moves.deal_key
    from moves
    inner join last_moves on moves.deal_key = last_moves.deal_key
    inner join spans on moves.to_span_number = spans.span_number
    where
        last_moves.is_in_service
        and spans.pipeline_role not in ('service', 'ignore')

),

known_categories as (

    select
        stages.stage_key,
        stages.stage_category
    from stages
    where stages.is_current

),

concluded as (

    select
        deals.deal_key,
        deals.source_system,
        deals.source_account_id,
        deals.created_at,
        deals.deal_native_amount,
        deals.currency_code,
        last_moves.to_stage_key as stage_key,
        coalesce(deals.pipeline_id, last_moves.to_pipeline_id) as pipeline_id,
        -- Where the outcome was said: a sale that went on to fulfilment stays with who sold it.
        coalesce(
            case
                when last_moves.stated_outcome is null then earlier_outcomes.pipeline_id
                else last_moves.to_pipeline_id
            end,
            deals.pipeline_id,
            last_moves.to_pipeline_id
        ) as outcome_pipeline_id,
        coalesce(known_categories.stage_category, last_moves.to_stage_category)
            as stage_category,
        coalesce(
            last_moves.stated_outcome,
            earlier_outcomes.stated_outcome,
            case
                when last_moves.to_stage_category = 'lost' then 'lost'
                else 'open'
            end
        ) as outcome,
        case
            when
                last_moves.stated_outcome is null
                and earlier_outcomes.stated_outcome is not null
                then earlier_outcomes.transitioned_at
            else coalesce(deals.closed_at, last_moves.transitioned_at)
        end as concluded_at,
        entries.is_created_stage,
        entries.is_mid_funnel_stage,
        entries.is_left_truncated,
        entries.is_log_kept,
        -- A measured stay ended by a move that the log shows, or has not ended.
        coalesce(entries.is_dwell_measured, false) as is_first_move_known,
        coalesce(second_stages.is_mid_funnel_stage, false)
            as is_second_stage_mid_funnel,
        coalesce(last_moves.is_in_service, false)
        and came_from_elsewhere.deal_key is null as is_service,
        accounts.observed_until_at
    from deals
    inner join last_moves on deals.deal_key = last_moves.deal_key
    inner join entries on deals.deal_key = entries.deal_key
    left join second_stages on deals.deal_key = second_stages.deal_key
    left join earlier_outcomes on deals.deal_key = earlier_outcomes.deal_key
    left join came_from_elsewhere on deals.deal_key = came_from_elsewhere.deal_key
    left join known_categories
        on last_moves.to_stage_key = known_categories.stage_key
    left join accounts
        on
            deals.source_system = accounts.source_system
            and deals.source_account_id = accounts.source_account_id

),

dated as (

    select
        concluded.*,
        case
            when concluded.outcome <> 'open' then concluded.concluded_at
        end as closed_at,
        -- The day of the event: a closed deal's sum is of the day it closed.
        {{ local_date(
            "case when concluded.outcome = 'open' then concluded.created_at"
            ~ " else concluded.concluded_at end",
            "settings.time_zone",
        ) }} as rate_date,
        coalesce(concluded.currency_code, settings.currency_code)
            as amount_currency_code,
        settings.currency_code as reporting_currency_code
    from concluded
    cross join settings

),

final as (

    select
        dated.deal_key,
        dated.stage_key,
        dated.pipeline_id,
        dated.outcome_pipeline_id,
        dated.stage_category,
        dated.outcome,
        dated.created_at,
        dated.closed_at,
        coalesce(dated.closed_at < dated.created_at, false)
            as is_closed_before_created,
        dated.is_left_truncated,
        dated.is_first_move_known,
        dated.is_service,
        -- Where the log begins late, or none is kept, the first stage known is not the first stage.
        case
            when dated.is_left_truncated or not dated.is_log_kept then false
            when dated.is_created_stage then dated.is_second_stage_mid_funnel
            else dated.is_mid_funnel_stage
        end as is_mid_funnel_start,
        dated.rate_date,
        dated.amount_currency_code,
        case
            when dated.amount_currency_code = dated.reporting_currency_code
                then dated.deal_native_amount
            else {{ at_rate("dated.deal_native_amount", "exchange_rates.rate") }}
        end as deal_amount,
        dated.observed_until_at
    from dated
    left join exchange_rates
        on
            dated.amount_currency_code = exchange_rates.currency_code
            and dated.rate_date >= exchange_rates.valid_from_date
            and dated.rate_date < exchange_rates.valid_to_date

)

select * from final
