with losses as (

    select * from {{ ref("int_losses_sequenced") }}

),

source_deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals as (

    select * from {{ ref("dim_deals") }}

),

reasons as (

    select * from {{ ref("int_loss_reasons_mapped") }}

),

-- A CRM keeps one reason per deal, that of its last loss, and clears it when the deal is opened
-- again. So an earlier loss without a reason accuses nobody, and neither does a robot's.
reasoned as (

    select
        losses.*,
        case when losses.is_last_loss then source_deals.loss_reason end as written_reason,
        case
            when losses.change_channel = 'automation' then 'expired'
            when losses.is_superseded then 'not_kept'
            else 'not_given'
        end as unwritten_reason
    from losses
    inner join source_deals on losses.deal_key = source_deals.deal_key

),

final as (

    select
        {{ dbt.concat([
            "reasoned.deal_key",
            "':'",
            "cast(reasoned.loss_number as " ~ dbt.type_string() ~ ")",
        ]) }} as rejection_key,
        reasoned.deal_key,
        reasoned.loss_number,
        reasoned.rejected_at,
        reasoned.from_stage_key,
        case
            when deals.deal_kind in ('duplicate', 'test') then 'technical'
            when reasoned.change_channel = 'automation' then 'expired'
            else coalesce(reasons.reason_category, reasoned.unwritten_reason)
        end as reason_category,
        coalesce(reasoned.written_reason, reasoned.unwritten_reason) as reason,
        -- A robot's clean-up is never a sales rep's loss.
        case
            when reasoned.change_channel <> 'automation'
                then coalesce(reasoned.sales_rep_key, deals.sales_rep_key)
        end as sales_rep_key,
        deals.channel,
        deals.segment,
        deals.deal_amount,
        reasoned.is_superseded
    from reasoned
    inner join deals on reasoned.deal_key = deals.deal_key
    left join reasons on reasoned.written_reason = reasons.reason

)

select * from final
