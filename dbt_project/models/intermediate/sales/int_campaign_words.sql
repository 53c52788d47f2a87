{{ config(materialized="table") }}

with campaigns as (

    select * from {{ ref("int_ad_campaigns_unioned") }}

),

-- Ad systems write the campaign's id into utm_campaign, people write its name.
words as (

    select
        lower(campaigns.campaign_id) as word,
        campaigns.campaign_key,
        1 as preference
    from campaigns
    union all
    select
        lower(campaigns.campaign_name) as word,
        campaigns.campaign_key,
        2 as preference
    from campaigns
    where campaigns.campaign_name is not null

),

-- A word that two campaigns share names neither.
unambiguous as (

    select
        words.word,
        words.preference,
        min(words.campaign_key) as campaign_key
    from words
    group by words.word, words.preference
    having count(distinct words.campaign_key) = 1

),

final as (

    select
        unambiguous.word,
        unambiguous.campaign_key
    from unambiguous
    qualify row_number() over (
        partition by unambiguous.word order by unambiguous.preference
    ) = 1

)

select * from final
