-- A returned row says that the calendar lacks days between its first and its last.
with dates as (

    select * from {{ ref("dim_dates") }}

),

final as (

    select
        count(*) as day_count,
        {{ days_between("min(dates.date_day)", "max(dates.date_day)") }} + 1
            as expected_day_count
    from dates

)

select * from final
where day_count <> expected_day_count
