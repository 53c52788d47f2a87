with visit_touches as (

    select * from {{ ref("int_visit_touches_classified") }}

),

crm_touches as (

    select * from {{ ref("int_crm_touches_kept") }}

),

final as (

    select
        touch_key,
        customer_key,
        touched_at,
        channel,
        campaign_key,
        is_paid,
        is_direct,
        'visit' as touch_source,
        cast(null as {{ dbt.type_string() }}) as deal_key
    from visit_touches
    union all
    select
        touch_key,
        customer_key,
        touched_at,
        channel,
        campaign_key,
        is_paid,
        is_direct,
        'crm' as touch_source,
        deal_key
    from crm_touches

)

select * from final
