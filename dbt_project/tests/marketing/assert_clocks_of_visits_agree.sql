-- A returned row is a counter and a month with visits whose dateTimeUTC is neither UTC nor UTC+3 by
-- their dateTime: the zone of the counter was probably changed, and they keep the clock they had.
{{ config(severity="warn") }}

with visits as (

    select * from {{ ref("stg_yandex_metrica__visits") }}

),

counters as (

    select * from {{ ref("stg_yandex_metrica__counters") }}

),

measured as (

    select
        visits.source_account_id,
        visits.visited_local_at,
        {{ seconds_between(
            utc_timestamp_of(
                "visits.visited_local_at", "coalesce(counters.time_zone, 'Europe/Moscow')"
            ),
            "visits.visited_utc_column_at",
        ) }} as ahead_seconds
    from visits
    left join counters on visits.source_account_id = counters.source_account_id
    where not visits._is_deleted

)

select
    source_account_id,
    {{ dbt.date_trunc("month", "visited_local_at") }} as month_date,
    count(*) as visit_count
from measured
where
    ahead_seconds not between -3600 and 3600
    and ahead_seconds not between 7200 and 14400
group by all
