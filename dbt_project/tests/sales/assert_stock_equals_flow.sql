-- A returned row is a stage and month whose stock is not what came in minus what went out before.
with visits as (

    select * from {{ ref("fct_deal_stage_visits") }}

),

dates as (

    select * from {{ ref("dim_dates") }}

),

-- Two readings of the same stays: the stock looks who stands there, the flow counts doors.
flows as (

    select
        visits.stage_key,
        cast({{ dbt.date_trunc("month", "visits.entered_at") }} as date) as month_date,
        count(*) as change_count
    from visits
    group by
        visits.stage_key,
        cast({{ dbt.date_trunc("month", "visits.entered_at") }} as date)
    union all
    select
        visits.stage_key,
        cast({{ dbt.date_trunc("month", "visits.exited_at") }} as date) as month_date,
        -count(*) as change_count
    from visits
    where visits.exited_at is not null
    group by
        visits.stage_key,
        cast({{ dbt.date_trunc("month", "visits.exited_at") }} as date)

),

months as (

    select distinct dates.month_date
    from dates

),

balances as (

    select
        months.month_date,
        flows.stage_key,
        sum(flows.change_count) as balance_count
    from months
    inner join flows on months.month_date > flows.month_date
    group by months.month_date, flows.stage_key

),

-- Stays that cover a month's first instant, grouped before they meet the months.
stays as (

    select
        visits.stage_key,
        cast({{ dbt.date_trunc("month", "visits.entered_at") }} as date)
            as entered_month_date,
        cast({{ dbt.date_trunc("month", "visits.exited_at") }} as date)
            as exited_month_date,
        count(*) as stay_count
    from visits
    group by
        visits.stage_key,
        cast({{ dbt.date_trunc("month", "visits.entered_at") }} as date),
        cast({{ dbt.date_trunc("month", "visits.exited_at") }} as date)

),

stocks as (

    select
        months.month_date,
        stays.stage_key,
        sum(stays.stay_count) as stock_count
    from months
    inner join stays
        on
            months.month_date > stays.entered_month_date
            and (
                stays.exited_month_date is null
                or months.month_date <= stays.exited_month_date
            )
    group by months.month_date, stays.stage_key

),

final as (

    select
        balances.month_date,
        balances.stage_key,
        balances.balance_count,
        coalesce(stocks.stock_count, 0) as stock_count
    from balances
    left join stocks
        on
            balances.month_date = stocks.month_date
            and balances.stage_key = stocks.stage_key
    where
        balances.balance_count <> coalesce(stocks.stock_count, 0)
        or balances.balance_count < 0

)

select * from final
