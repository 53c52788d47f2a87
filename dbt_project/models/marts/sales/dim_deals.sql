with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

concluded as (

    select * from {{ ref("int_deals_concluded") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

deal_channels as (

    select * from {{ ref("int_deal_channels_classified") }}

),

first_touches as (

    select * from {{ ref("int_deal_touches_first") }}

),

customers as (

    select * from {{ ref("int_customers_segmented") }}

),

reasons as (

    select * from {{ ref("int_loss_reasons_mapped") }}

),

final as (

    select
        -- keys
        deals.deal_key,
        deals.source_system,
        deals.source_account_id,
        deals.deal_id,
        deals.deal_url,
        deals_identified.customer_key,
        deals.sales_rep_key,
        concluded.pipeline_id,
        concluded.outcome_pipeline_id,
        concluded.stage_key,
        -- attributes
        deals.deal_name,
        concluded.stage_category,
        concluded.outcome,
        coalesce(
            deals.declared_segment, customers.segment, 'unknown'
        ) as segment,
        coalesce(
            deal_channels.channel, first_touches.channel, 'unattributed'
        ) as channel,
        coalesce(
            deal_channels.campaign_key,
            case
                when
                    deal_channels.channel is null
                    or deal_channels.channel = first_touches.channel
                    then first_touches.campaign_key
            end
        ) as campaign_key,
        deals_identified.deal_kind,
        -- Without criteria only the end speaks: who bought was a target, whom the sales reps
        -- refused as one was not.
        case
            when concluded.outcome = 'won' then 'target'
            when concluded.outcome = 'lost' and reasons.reason_category = 'not_target'
                then 'non_target'
            else 'undefined'
        end as target_status,
        -- timestamps
        concluded.created_at,
        concluded.closed_at,
        -- amounts
        concluded.deal_amount,
        -- flags
        coalesce(deals.is_unsorted, false) as is_unsorted,
        deals.is_deleted,
        concluded.is_mid_funnel_start,
        concluded.is_closed_before_created,
        concluded.is_left_truncated,
        concluded.is_first_move_known
    from deals
    inner join concluded on deals.deal_key = concluded.deal_key
    inner join deals_identified on deals.deal_key = deals_identified.deal_key
    inner join deal_channels on deals.deal_key = deal_channels.deal_key
    left join first_touches on deals.deal_key = first_touches.deal_key
    left join customers
        on deals_identified.customer_key = customers.customer_key
    left join reasons on deals.loss_reason = reasons.reason

)

select * from final
