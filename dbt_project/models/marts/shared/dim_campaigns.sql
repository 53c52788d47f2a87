with campaigns as (

    select * from {{ ref("int_ad_campaigns_unioned") }}

),

spend as (

    select * from {{ ref("int_ad_spend_converted") }}

),

spend_channels as (

    select
        spend.campaign_key,
        min(spend.channel) as channel
    from spend
    where spend.channel is not null
    group by spend.campaign_key

),

final as (

    select
        campaigns.campaign_key,
        campaigns.platform,
        campaigns.source_account_id,
        campaigns.campaign_id,
        campaigns.campaign_name,
        coalesce(spend_channels.channel, 'unknown') as channel
    from campaigns
    left join spend_channels
        on campaigns.campaign_key = spend_channels.campaign_key

)

select * from final
