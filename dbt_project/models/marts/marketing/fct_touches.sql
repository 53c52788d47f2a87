with touches as (

    select * from {{ ref("int_touches_unioned") }}

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
        touch_source
    from touches

)

select * from final
