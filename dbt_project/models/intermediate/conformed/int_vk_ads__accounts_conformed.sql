with pulls as (

    select * from {{ ref("stg_vk_ads__pulls") }}

),

statistics as (

    select * from {{ ref("stg_vk_ads__ad_plan_daily_statistics") }}

),

observed as (

    select
        pulls.source_account_id,
        max(pulls.observed_until_at) as observed_until_at
    from pulls
    -- lists of plans and advertisements say nothing of how far their cost is read
    where pulls.resource = 'ad_plan_daily_statistics'
    group by pulls.source_account_id

),

currencies as (

    select
        statistics.source_account_id,
        statistics.currency_code
    from statistics
    where statistics.currency_code is not null
    qualify row_number() over (
        partition by statistics.source_account_id
        order by statistics.report_date desc, statistics.record_id desc
    ) = 1

),

final as (

    select
        {{ entity_key(["'vk_ads'", "observed.source_account_id"]) }} as account_key,
        'vk_ads' as source_system,
        observed.source_account_id,
        observed.source_account_id as account_name,
        'https://ads.vk.com' as account_url,
        -- VK counts its days in Moscow, wherever the advertiser is
        'Europe/Moscow' as time_zone,
        currencies.currency_code,
        observed.observed_until_at
    from observed
    left join currencies on observed.source_account_id = currencies.source_account_id

)

select * from final
