{{ config(materialized="table") }}
{#- The habit is read from the newest of the days told; one long pause of last year is no habit. -#}
{%- set habit_days = 90 %}
{#- Fewer days tell no habit. -#}
{%- set least_days = 7 %}
{#- Who says nothing for longer has stopped advertising there: the numbers are whole without it. -#}
{%- set closed_after_days = var("ad_account_closed_after_days", 60) %}

with spend as (

    select * from {{ ref("int_ad_spend_unioned") }}

),

accounts as (

    select * from {{ ref("int_accounts_unioned") }}

),

campaigns as (

    select * from {{ ref("int_ad_campaigns_unioned") }}

),

touches as (

    select * from {{ ref("int_touches_unioned") }}
    where campaign_key is not null

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

told as (

    select
        spend.platform,
        spend.source_account_id,
        spend.account_key,
        spend.spend_date
    from spend
    where
        spend.spend_native_amount <> 0
        or spend.impression_count > 0
        or spend.click_count > 0

),

days as (

    select distinct
        told.platform,
        told.source_account_id,
        told.spend_date
    from told

),

tellers as (

    select distinct
        told.platform,
        told.source_account_id,
        told.account_key
    from told

),

gaps as (

    select
        days.platform,
        days.source_account_id,
        days.spend_date,
        {{ days_between(
            "lag(days.spend_date) over (partition by days.platform, days.source_account_id"
            ~ " order by days.spend_date)",
            "days.spend_date",
        ) }} as gap_days
    from days

),

newest_gaps as (

    select gaps.*
    from gaps
    qualify row_number() over (
        partition by gaps.platform, gaps.source_account_id
        order by gaps.spend_date desc
    ) <= {{ habit_days }}

),

habits as (

    select
        newest_gaps.platform,
        newest_gaps.source_account_id,
        max(newest_gaps.spend_date) as newest_spend_date,
        count(*) as day_count,
        cast(
            ceil(percentile_cont(0.95) within group (order by newest_gaps.gap_days)) as bigint
        ) as usual_gap_days
    from newest_gaps
    group by
        newest_gaps.platform,
        newest_gaps.source_account_id

),

observed as (

    select
        tellers.platform,
        tellers.source_account_id,
        max(accounts.observed_until_at) as observed_until_at,
        max(
            {{ local_date(
                "accounts.observed_until_at",
                "coalesce(accounts.time_zone, settings.time_zone)",
            ) }}
        ) as observed_date
    from tellers
    inner join accounts on tellers.account_key = accounts.account_key
    cross join settings
    group by
        tellers.platform,
        tellers.source_account_id

),

first_days as (

    select
        days.platform,
        days.source_account_id,
        min(days.spend_date) as first_spend_date
    from days
    group by
        days.platform,
        days.source_account_id

),

-- Platforms tell of a year or three back; people came by these campaigns before.
first_touches as (

    select
        campaigns.platform,
        campaigns.source_account_id,
        {{ local_date("min(touches.touched_at)", "max(settings.time_zone)") }}
            as advertised_from_date
    from touches
    inner join campaigns on touches.campaign_key = campaigns.campaign_key
    cross join settings
    group by
        campaigns.platform,
        campaigns.source_account_id

),

aged as (

    select
        habits.platform,
        habits.source_account_id,
        first_days.first_spend_date,
        first_touches.advertised_from_date,
        habits.newest_spend_date,
        observed.observed_until_at,
        observed.observed_date,
        {{ days_between("habits.newest_spend_date", "observed.observed_date") }} as silent_days,
        -- the day that is read is not over yet
        case
            when habits.day_count >= {{ least_days }} then habits.usual_gap_days + 1
        end as usual_silent_days
    from habits
    inner join observed
        on
            habits.platform = observed.platform
            and habits.source_account_id = observed.source_account_id
    inner join first_days
        on
            habits.platform = first_days.platform
            and habits.source_account_id = first_days.source_account_id
    left join first_touches
        on
            habits.platform = first_touches.platform
            and habits.source_account_id = first_touches.source_account_id

),

final as (

    select
        aged.platform,
        aged.source_account_id,
        aged.first_spend_date,
        aged.advertised_from_date,
        greatest(
            0,
            coalesce({{ days_between("aged.advertised_from_date", "aged.first_spend_date") }}, 0)
        ) as untold_days,
        aged.newest_spend_date,
        aged.observed_until_at,
        aged.observed_date,
        aged.silent_days,
        aged.usual_silent_days,
        coalesce(
            aged.silent_days > aged.usual_silent_days
            and aged.silent_days <= {{ closed_after_days }},
            false
        ) as is_silent,
        aged.silent_days > {{ closed_after_days }} as is_closed
    from aged

)

select * from final
