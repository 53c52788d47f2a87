{{ config(materialized="table") }}

with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

loss_reason_map as (

    select * from {{ ref("stg_company__loss_reason_map") }}

),

reasons as (

    select distinct deals.loss_reason as reason
    from deals
    where deals.loss_reason is not null

),

final as (

    select
        reasons.reason,
        coalesce(loss_reason_map.reason_category, 'other') as reason_category,
        loss_reason_map.reason_category is not null as is_mapped
    from reasons
    left join loss_reason_map
        on {{ loss_reason_match("reasons.reason") }}
    qualify row_number() over (
        partition by reasons.reason
        order by
            loss_reason_map.priority asc nulls last,
            loss_reason_map.reason_category asc nulls last
    ) = 1

)

select * from final
