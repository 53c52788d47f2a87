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
        {{ origin_words("deals") }}
    from deals

),

named_sets as (

    select * from sets
    where
        declared_channel <> ''
        or utm_source <> ''
        or utm_medium <> ''
        or utm_campaign <> ''

),

mapped as (

    {{ channels_of_words("named_sets", origin_word_columns()) }}

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
        on {{ same_origin_words("named_sets", "mapped") }}
    left join campaign_words
        on
            lower(named_sets.utm_campaign) = campaign_words.word
            and {{ told_platform("named_sets") }} = campaign_words.told_platform

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
        on {{ same_origin_words("deals", "classified") }}

)

select * from final
