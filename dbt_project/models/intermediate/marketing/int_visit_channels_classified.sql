with visits as (

    select * from {{ ref("int_visits_unioned") }}

),

channel_map as (

    select * from {{ ref("stg_company__channel_map") }}

),

campaign_words as (

    select * from {{ ref("int_campaign_words") }}

),

-- Millions of visits carry a few thousand different sets of words: rules meet the sets only.
sets as (

    select distinct
        {{ origin_words("visits") }},
        {{ visit_origin("visits") }} as visit_origin
    from visits

),

-- What the referrer tells is read like a declared channel, so the company's rules can rename it.
told_sets as (

    select
        sets.*,
        case sets.visit_origin
            when 'search' then 'organic_search'
            when 'site' then 'referral'
            when 'none' then 'direct'
            else sets.declared_channel
        end as told_channel
    from sets

),

questions as (

    select distinct
        told_channel as declared_channel,
        utm_source,
        utm_medium,
        utm_campaign
    from told_sets

),

mapped as (

    {{ channels_of_words("questions", origin_word_columns()) }}

),

named as (

    select
        told_sets.*,
        coalesce(mapped.channel, nullif(told_sets.told_channel, ''), 'unknown') as channel,
        coalesce(mapped.is_paid, false) as is_paid,
        told_sets.visit_origin = 'none'
        or coalesce(mapped.channel, told_sets.told_channel) = 'direct' as is_direct
    from told_sets
    left join mapped
        on
            told_sets.told_channel = mapped.declared_channel
            and told_sets.utm_source = mapped.utm_source
            and told_sets.utm_medium = mapped.utm_medium
            and told_sets.utm_campaign = mapped.utm_campaign

),

final as (

    select
        named.declared_channel,
        named.utm_source,
        named.utm_medium,
        named.utm_campaign,
        named.visit_origin,
        campaign_words.campaign_key,
        named.channel,
        named.is_paid and not named.is_direct as is_paid,
        named.is_direct
    from named
    left join campaign_words
        on
            lower(named.utm_campaign) = campaign_words.word
            and {{ told_platform("named") }} = campaign_words.told_platform

)

select * from final
