{{ config(materialized="table") }}

with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

channel_map as (

    select * from {{ ref("stg_company__channel_map") }}

),

campaign_words as (

    select * from {{ ref("int_campaign_words") }}

),

-- A million deals carry a few thousand different sets of words: rules meet the sets only.
sets as (

    select distinct
        coalesce(deals.declared_channel, '') as declared_channel,
        coalesce(deals.utm_source, '') as utm_source,
        coalesce(deals.utm_medium, '') as utm_medium,
        coalesce(deals.utm_campaign, '') as utm_campaign
    from deals

),

named_sets as (

    select sets.*
    from sets
    where
        sets.declared_channel <> ''
        or sets.utm_source <> ''
        or sets.utm_medium <> ''
        or sets.utm_campaign <> ''

),

-- What the company declares passes as it is; only a rule that names it may rename it.
mapped as (

    select
        named_sets.declared_channel,
        named_sets.utm_source,
        named_sets.utm_medium,
        named_sets.utm_campaign,
        channel_map.channel,
        channel_map.is_paid
    from named_sets
    inner join channel_map
        on
            {{ channel_match("named_sets", "channel_map") }}
            and (
                named_sets.declared_channel = ''
                or channel_map.declared_channel <> '*'
            )
    qualify row_number() over (
        partition by
            named_sets.declared_channel,
            named_sets.utm_source,
            named_sets.utm_medium,
            named_sets.utm_campaign
        order by channel_map.priority asc nulls last, channel_map.channel asc
    ) = 1

),

classified as (

    select
        named_sets.declared_channel,
        named_sets.utm_source,
        named_sets.utm_medium,
        named_sets.utm_campaign,
        coalesce(
            mapped.channel,
            nullif(named_sets.declared_channel, ''),
            'unknown'
        ) as channel,
        coalesce(mapped.is_paid, false) as is_paid,
        campaign_words.campaign_key
    from named_sets
    left join mapped
        on
            named_sets.declared_channel = mapped.declared_channel
            and named_sets.utm_source = mapped.utm_source
            and named_sets.utm_medium = mapped.utm_medium
            and named_sets.utm_campaign = mapped.utm_campaign
    left join campaign_words
        on lower(named_sets.utm_campaign) = campaign_words.word

),

final as (

    select
        deals.deal_key,
        classified.channel,
        coalesce(classified.is_paid, false) as is_paid,
        coalesce(classified.channel = 'direct', false) as is_direct,
        classified.campaign_key
    from deals
    left join classified
        on
            coalesce(deals.declared_channel, '') = classified.declared_channel
            and coalesce(deals.utm_source, '') = classified.utm_source
            and coalesce(deals.utm_medium, '') = classified.utm_medium
            and coalesce(deals.utm_campaign, '') = classified.utm_campaign

)

select * from final
