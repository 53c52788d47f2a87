{{ config(materialized="table") }}

with days as (

    select * from {{ ref("int_calendar_days") }}

),

business_days as (

    select
        days.opens_at,
        days.closes_at,
        cast(days.opens_at as date) as opens_date,
        cast({{ dbt.dateadd("day", 1, "cast(days.opens_at as date)") }} as timestamp)
            as midnight_at
    from days
    where days.is_business_day and days.closes_at > days.opens_at

),

-- A working day of the company's zone may lie across midnight of UTC.
pieces as (

    select
        business_days.opens_date as utc_date,
        business_days.opens_at,
        least(business_days.closes_at, business_days.midnight_at) as closes_at
    from business_days
    union all
    select
        cast(business_days.midnight_at as date) as utc_date,
        business_days.midnight_at as opens_at,
        business_days.closes_at
    from business_days
    where business_days.closes_at > business_days.midnight_at

),

numbered as (

    select
        pieces.*,
        row_number() over (
            partition by pieces.utc_date order by pieces.opens_at
        ) as piece_number
    from pieces

),

-- A third piece exists only where work never stops, so it continues the second.
opened as (

    select
        numbered.utc_date,
        min(case when numbered.piece_number = 1 then numbered.opens_at end)
            as first_opens_at,
        min(case when numbered.piece_number = 1 then numbered.closes_at end)
            as first_closes_at,
        min(case when numbered.piece_number > 1 then numbered.opens_at end)
            as second_opens_at,
        max(case when numbered.piece_number > 1 then numbered.closes_at end)
            as second_closes_at
    from numbered
    group by numbered.utc_date

),

-- One day more on either side: an instant's UTC date may lie beside the company's calendar.
utc_days as (

    select days.date_day as utc_date from days
    union
    select cast({{ dbt.dateadd("day", -1, "days.date_day") }} as date) as utc_date
    from days
    union
    select cast({{ dbt.dateadd("day", 1, "days.date_day") }} as date) as utc_date
    from days

),

measured as (

    select
        utc_days.utc_date,
        opened.first_opens_at,
        opened.first_closes_at,
        opened.second_opens_at,
        opened.second_closes_at,
        coalesce(
            {{ seconds_between("opened.first_opens_at", "opened.first_closes_at") }}, 0
        ) as first_seconds,
        coalesce(
            {{ seconds_between("opened.second_opens_at", "opened.second_closes_at") }}, 0
        ) as second_seconds
    from utc_days
    left join opened on utc_days.utc_date = opened.utc_date

),

final as (

    select
        measured.*,
        cast(
            coalesce(
                sum(measured.first_seconds + measured.second_seconds) over (
                    order by measured.utc_date
                    rows between unbounded preceding and 1 preceding
                ),
                0
            ) as decimal(18, 6)
        ) as seconds_before
    from measured

)

select * from final
