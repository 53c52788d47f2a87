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
        coalesce(visits.declared_channel, '') as declared_channel,
        coalesce(visits.utm_source, '') as utm_source,
        coalesce(visits.utm_medium, '') as utm_medium,
        coalesce(visits.utm_campaign, '') as utm_campaign,
        {{ visit_origin("visits") }} as visit_origin
    from visits

),

mapped as (

    select
        sets.declared_channel,
        sets.utm_source,
        sets.utm_medium,
        sets.utm_campaign,
        channel_map.channel,
        channel_map.is_paid
    from sets
    inner join channel_map
        on
            {{ channel_match("sets", "channel_map") }}
            and (
                sets.declared_channel = ''
                or channel_map.declared_channel <> '*'
            )
    where sets.visit_origin = 'named'
    qualify row_number() over (
        partition by
            sets.declared_channel,
            sets.utm_source,
            sets.utm_medium,
            sets.utm_campaign
        order by
            channel_map.priority asc nulls last,
            channel_map.channel asc
    ) = 1

),

final as (

    select
        sets.declared_channel,
        sets.utm_source,
        sets.utm_medium,
        sets.utm_campaign,
        sets.visit_origin,
        campaign_words.campaign_key,
        case
            when mapped.channel is not null then mapped.channel
            when sets.declared_channel <> '' then sets.declared_channel
            when sets.visit_origin = 'named' then 'unknown'
            when sets.visit_origin = 'search' then 'organic_search'
            when sets.visit_origin = 'site' then 'referral'
            else 'direct'
        end as channel,
        coalesce(mapped.is_paid, false) as is_paid,
        sets.visit_origin = 'none'
        or coalesce(mapped.channel, sets.declared_channel) = 'direct' as is_direct
    from sets
    left join mapped
        on
            sets.declared_channel = mapped.declared_channel
            and sets.utm_source = mapped.utm_source
            and sets.utm_medium = mapped.utm_medium
            and sets.utm_campaign = mapped.utm_campaign
    left join campaign_words
        on lower(sets.utm_campaign) = campaign_words.word

)

select * from final
