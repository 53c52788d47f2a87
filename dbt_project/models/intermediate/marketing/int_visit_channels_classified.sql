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

named_sets as (

    select * from sets
    where visit_origin = 'named'

),

mapped as (

    {{ channels_of_words("named_sets", origin_word_columns()) }}

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
        on {{ same_origin_words("sets", "mapped") }}
    left join campaign_words
        on lower(sets.utm_campaign) = campaign_words.word

)

select * from final
