{{ config(materialized="table") }}

with campaigns as (

    select * from {{ ref("int_ad_campaigns_unioned") }}

),

campaign_names as (

    select * from {{ ref("int_ad_campaign_names_unioned") }}

),

-- VK Ads is myTarget under a new name; its advertisements still carry both.
placed as (

    select
        campaigns.*,
        case lower(campaigns.platform)
            when 'mytarget' then 'vk_ads'
            else lower(campaigns.platform)
        end as told_as
    from campaigns

),

-- Ad systems write the campaign's id into utm_campaign, people write its name, and leave it there
-- when they rename the campaign.
words as (

    select
        lower(placed.campaign_id) as word,
        placed.told_as,
        placed.campaign_key,
        1 as preference
    from placed
    union all
    select
        lower(placed.campaign_name) as word,
        placed.told_as,
        placed.campaign_key,
        2 as preference
    from placed
    where placed.campaign_name is not null
    union all
    select
        lower(campaign_names.campaign_name) as word,
        placed.told_as,
        placed.campaign_key,
        3 as preference
    from campaign_names
    inner join placed on campaign_names.campaign_key = placed.campaign_key

),

told_platforms as (

    {%- for platform in ["", "none"] + platform_sources().keys() | list %}
        {% if not loop.first %}union all{% endif %}
        select '{{ platform }}' as told_platform
    {%- endfor %}

),

-- An id is a campaign's wherever it is met. A name is not: a letter or another platform may use the
-- same, and the campaign's cost would follow it into their channel.
candidates as (

    select
        words.word,
        told_platforms.told_platform,
        words.campaign_key,
        words.preference
    from words
    cross join told_platforms
    where
        words.preference = 1
        or told_platforms.told_platform in ('', words.told_as)
        or coalesce(words.told_as, '') not in (
            {%- for platform in platform_sources() %}
                '{{ platform }}'{{ "," if not loop.last }}
            {%- endfor %}
        )

),

-- A word that two campaigns share names neither.
unambiguous as (

    select
        candidates.word,
        candidates.told_platform,
        candidates.preference,
        min(candidates.campaign_key) as campaign_key
    from candidates
    group by
        candidates.word,
        candidates.told_platform,
        candidates.preference
    having count(distinct candidates.campaign_key) = 1

),

final as (

    select
        unambiguous.word,
        unambiguous.told_platform,
        unambiguous.campaign_key
    from unambiguous
    qualify row_number() over (
        partition by unambiguous.word, unambiguous.told_platform
        order by unambiguous.preference
    ) = 1

)

select * from final
