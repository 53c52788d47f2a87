{%- set lead_window = var("attribution_window_days")["lead"] -%}
with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

deals_identified as (

    select * from {{ ref("int_deals_identified") }}

),

touches as (

    select * from {{ ref("int_touches_unioned") }}

),

final as (

    select
        deals.deal_key,
        touches.touch_key,
        touches.touched_at,
        touches.channel,
        touches.campaign_key,
        touches.is_paid,
        touches.is_direct
    from deals
    inner join deals_identified on deals.deal_key = deals_identified.deal_key
    inner join touches
        on
            deals_identified.customer_key = touches.customer_key
            and deals.created_at >= touches.touched_at
            and {{ dbt.dateadd("day", -1 * lead_window, "deals.created_at") }}
            <= touches.touched_at
    qualify row_number() over (
        partition by deals.deal_key
        order by
            touches.touched_at,
            touches.touch_key
    ) = 1

)

select * from final
