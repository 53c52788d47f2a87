with rules as (

    select * from {{ ref("stg_company__channel_map") }}

),

deal_channels as (

    select * from {{ ref("int_deal_channels_classified") }}

),

touches as (

    select * from {{ ref("int_touches_unioned") }}

),

spend as (

    select * from {{ ref("int_ad_spend_converted") }}

),

named as (

    select
        rules.channel,
        coalesce(rules.is_paid, false) as is_paid
    from rules
    union all
    select
        deal_channels.channel,
        deal_channels.is_paid
    from deal_channels
    group by deal_channels.channel, deal_channels.is_paid
    union all
    select
        touches.channel,
        touches.is_paid
    from touches
    group by touches.channel, touches.is_paid
    -- Money was spent on it, so it is paid.
    union all
    select
        spend.channel,
        true as is_paid
    from spend
    group by spend.channel
    -- The buckets: nothing is ever left out of a breakdown by channel.
    union all
    select
        'unknown' as channel,
        false as is_paid
    union all
    select
        'unattributed' as channel,
        false as is_paid

),

final as (

    select
        named.channel,
        max(case when named.is_paid then 1 else 0 end) = 1 as is_paid
    from named
    where named.channel is not null
    group by named.channel

)

select * from final
