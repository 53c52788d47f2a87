{{ config(materialized="table") }}
{%- set events = [
    ("int_deals_unioned", "created_at", "closed_at"),
    ("int_stage_changes_sequenced", "transitioned_at", "transitioned_at"),
    ("int_visits_unioned", "visited_at", "visited_at"),
    ("int_ad_spend_unioned", "spend_date", "spend_date"),
    ("int_payments_unioned", "paid_at", "paid_at"),
    ("int_invoices_unioned", "issued_at", "issued_at"),
    ("int_company_settings", "observed_until_at", "observed_until_at"),
] %}

with settings as (

    select * from {{ ref("int_company_settings") }}

),

working_calendar as (

    select * from {{ ref("stg_company__working_calendar") }}

),

event_times as (

    {%- for model, first_at, last_at in events %}
        {% if not loop.first %}union all{% endif %}
        select
            min(cast({{ first_at }} as timestamp)) as first_at,
            max(cast({{ last_at }} as timestamp)) as last_at
        from {{ ref(model) }}
    {%- endfor %}

),

-- From the first month in which anything happened to the end of the month after the last one.
bounds as (

    select
        settings.time_zone,
        cast({{ dbt.date_trunc(
            "month", local_date("min(event_times.first_at)", "settings.time_zone")
        ) }} as date) as first_date,
        cast({{ dbt.dateadd("month", 2, dbt.date_trunc(
            "month", local_date("max(event_times.last_at)", "settings.time_zone")
        )) }} as date) as end_date
    from event_times
    cross join settings
    group by settings.time_zone

),

spine as (

    select
        bounds.time_zone,
        cast({{ dbt.dateadd(
            "day", "cast(numbers.number as integer)", "bounds.first_date"
        ) }} as date) as date_day
    from ({{ numbers(5) }}) as numbers
    cross join bounds
    where numbers.number < {{ days_between("bounds.first_date", "bounds.end_date") }}

),

days as (

    select
        spine.date_day,
        spine.time_zone,
        {{ days_between("cast('1970-01-05' as date)", "spine.date_day") }} % 7
            as weekday_number
    from spine

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
