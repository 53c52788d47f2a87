with days as (

    select * from {{ ref("int_calendar_days") }}

),

-- ISO 8601: a week belongs to the year of its Thursday.
weeks as (

    select
        days.*,
        cast({{ dbt.dateadd(
            "day", 3, dbt.date_trunc("week", "days.date_day")
        ) }} as date) as thursday_date
    from days

),

final as (

    select
        weeks.date_day,
        {{ dbt.concat([
            "cast(year(weeks.thursday_date) as " ~ dbt.type_string() ~ ")",
            "'-W'",
            "lpad(cast(cast((" ~ days_between(
                dbt.date_trunc('year', 'weeks.thursday_date'),
                'weeks.thursday_date'
            ) ~ " - " ~ days_between(
                dbt.date_trunc('year', 'weeks.thursday_date'),
                'weeks.thursday_date'
            ) ~ " % 7) / 7 + 1 as integer) as " ~ dbt.type_string() ~ "), 2, '0')",
        ]) }} as iso_week,
        cast({{ dbt.date_trunc("month", "weeks.date_day") }} as date) as month_date,
        weeks.is_business_day,
        cast(
            coalesce(
                greatest(
                    {{ seconds_between("weeks.opens_at", "weeks.closes_at") }}, 0
                ),
                0
            ) as decimal(18, 6)
        ) as business_seconds
    from weeks

)

select * from final
