with pulls as (

    select * from {{ ref("stg_yandex_direct__pulls") }}

),

reports as (

    select * from {{ ref("stg_yandex_direct__campaign_daily_reports") }}

),

observed as (

    select
        pulls.source_account_id,
        max(pulls.observed_until_at) as observed_until_at
    from pulls
    -- the list of campaigns says nothing of how far their cost is read
    where pulls.resource = 'campaign_daily_report'
    group by pulls.source_account_id

),

currencies as (

    select
        reports.source_account_id,
        reports.currency_code
    from reports
    where reports.currency_code is not null
    qualify row_number() over (
        partition by reports.source_account_id
        order by reports.report_date desc, reports.record_id desc
    ) = 1

),

final as (

    select
        {{ entity_key(["'yandex_direct'", "observed.source_account_id"]) }} as account_key,
        'yandex_direct' as source_system,
        observed.source_account_id,
        observed.source_account_id as account_name,
        'https://direct.yandex.ru' as account_url,
        -- Direct counts its days in Moscow, wherever the advertiser is
        'Europe/Moscow' as time_zone,
        currencies.currency_code,
        observed.observed_until_at
    from observed
    left join currencies on observed.source_account_id = currencies.source_account_id

)

select * from final
