{#- What campaigns of a platform usually write into utm_source; else the platform's own name. -#}
{%- set platform_words = {
    "yandex_direct": "yandex",
    "google_ads": "google",
    "vk_ads": "vk",
    "meta_ads": "facebook",
    "mytarget": "mytarget",
} -%}
with spend as (

    select * from {{ ref("int_ad_spend_unioned") }}

),

touches as (

    select * from {{ ref("int_touches_unioned") }}
    where campaign_key is not null

),

channel_map as (

    select * from {{ ref("stg_company__channel_map") }}

),

sets as (

    select distinct
        platform,
        coalesce(campaign_key, '') as campaign_key,
        coalesce(declared_channel, '') as declared_channel
    from spend

),

-- Spend belongs where the people it brought are counted.
touch_counts as (

    select
        campaign_key,
        channel,
        count(*) as touch_count
    from touches
    group by
        campaign_key,
        channel

),

campaign_channels as (

    select
        campaign_key,
        channel
    from touch_counts
    qualify row_number() over (
        partition by campaign_key
        order by
            touch_count desc,
            channel asc
    ) = 1

),

questions as (

    select distinct
        platform,
        declared_channel,
        case
            when declared_channel = ''
                then
                    case lower(platform)
                        {%- for platform, word in platform_words.items() %}
                            when '{{ platform }}' then '{{ word }}'
                        {%- endfor %}
                        else lower(platform)
                    end
        end as utm_source,
        case when declared_channel = '' then 'cpc' end as utm_medium,
        cast(null as {{ dbt.type_string() }}) as utm_campaign
    from sets

),

mapped as (

    {{ channels_of_words("questions", ["platform", "declared_channel"]) }}

),

final as (

    select
        sets.platform,
        sets.campaign_key,
        sets.declared_channel,
        case
            when sets.declared_channel <> ''
                then coalesce(mapped.channel, sets.declared_channel)
            else coalesce(campaign_channels.channel, mapped.channel, sets.platform)
        end as channel
    from sets
    left join mapped
        on
            sets.platform = mapped.platform
            and sets.declared_channel = mapped.declared_channel
    left join campaign_channels on sets.campaign_key = campaign_channels.campaign_key

)

select * from final
