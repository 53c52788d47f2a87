{{ config(materialized="table") }}

with settings as (

    select * from {{ ref("int_company_settings") }}

),

working_calendar as (

    select * from {{ ref("stg_company__working_calendar") }}

),

event_times as (

    select
        min(deals.created_at) as first_at,
        max(deals.closed_at) as last_at
    from {{ ref("int_deals_unioned") }} as deals
    union all
    select
        min(stage_changes.transitioned_at) as first_at,
        max(stage_changes.transitioned_at) as last_at
    from {{ ref("int_stage_changes_sequenced") }} as stage_changes
    union all
    select
        min(visits.visited_at) as first_at,
        max(visits.visited_at) as last_at
    from {{ ref("int_visits_unioned") }} as visits
    union all
    select
        min(cast(ad_spend.spend_date as timestamp)) as first_at,
        max(cast(ad_spend.spend_date as timestamp)) as last_at
    from {{ ref("int_ad_spend_unioned") }} as ad_spend
    union all
    select
        min(payments.paid_at) as first_at,
        max(payments.paid_at) as last_at
    from {{ ref("int_payments_unioned") }} as payments
    union all
    select
        min(invoices.issued_at) as first_at,
        max(invoices.issued_at) as last_at
    from {{ ref("int_invoices_unioned") }} as invoices
    union all
    select
        settings.observed_until_at as first_at,
        settings.observed_until_at as last_at
    from settings

),

bounds as (

    select
        min(event_times.first_at) as first_at,
        max(event_times.last_at) as last_at
    from event_times

),

spine as (

    select
        settings.time_zone,
        cast({{ dbt.dateadd(
            "day",
            "cast(numbers.number as integer)",
            dbt.date_trunc(
                "month", local_date("bounds.first_at", "settings.time_zone")
            ),
        ) }} as date) as date_day,
        cast({{ dbt.dateadd(
            "month",
            2,
            dbt.date_trunc(
                "month", local_date("bounds.last_at", "settings.time_zone")
            ),
        ) }} as date) as end_date
    from ({{ numbers(5) }}) as numbers
    cross join bounds
    cross join settings

),

days as (

    select
        spine.date_day,
        spine.time_zone,
        {{ days_between("cast('1970-01-05' as date)", "spine.date_day") }} % 7
            as weekday_number
    from spine
    where spine.date_day < spine.end_date

),

opened as (

    select
        days.date_day,
        days.time_zone,
        coalesce(working_calendar.is_business_day, days.weekday_number < 5)
            as is_business_day,
        coalesce(working_calendar.opens_at, '09:00') as opens_at,
        coalesce(working_calendar.closes_at, '18:00') as closes_at
    from days
    left join working_calendar
        on days.date_day = working_calendar.date_day

),

final as (

    select
        opened.date_day,
        opened.is_business_day,
        case
            when opened.is_business_day
                then {{ utc_timestamp_of(
                    clock_time("opened.date_day", "opened.opens_at"),
                    "opened.time_zone",
                ) }}
        end as opens_at,
        case
            when opened.is_business_day
                then {{ utc_timestamp_of(
                    clock_time("opened.date_day", "opened.closes_at"),
                    "opened.time_zone",
                ) }}
        end as closes_at
    from opened

)

select * from final
