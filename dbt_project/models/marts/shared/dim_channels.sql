with channels as (

    select * from {{ ref("int_channels_named") }}

),

final as (

    select
        channels.channel,
        channels.is_paid
    from channels

)

select * from final
