with visits as (

    select * from {{ ref("stg_yandex_metrica__visits") }}

),

counters as (

    select * from {{ ref("stg_yandex_metrica__counters") }}

),

-- `dateTime` is the counter's clock. `dateTimeUTC` is documented to be three hours ahead of UTC, by
-- its name it is UTC: the counter's clock tells which, and the hour that a clock repeats in autumn
-- is then told by it.
clocked as (

    select
        visits.* replace (
            {%- for word in ["source", "medium", "campaign", "content", "term"] %}
                {{ utm_word("visits.utm_" ~ word) }} as utm_{{ word }}{{ "," if not loop.last }}
            {%- endfor %}
        ),
        {{ utc_timestamp_of(
            "visits.visited_local_at", "coalesce(counters.time_zone, 'Europe/Moscow')"
        ) }} as told_at
    from visits
    left join counters on visits.source_account_id = counters.source_account_id
    -- a visit that a newer reading of its day does not show any more is gone
    where not visits._is_deleted

),

measured as (

    select
        clocked.*,
        {{ seconds_between("clocked.told_at", "clocked.visited_utc_column_at") }}
            as ahead_seconds,
        (
            clocked.utm_source is not null
            or clocked.utm_medium is not null
            or clocked.utm_campaign is not null
        ) as has_utm
    from clocked

),

-- A click without tags of its own (Direct tags by itself) gets the words that a person would have
-- tagged it with, so that the company's rules and campaigns meet it.
worded as (

    select
        measured.*,
        not measured.has_utm and measured.traffic_source = 'ad' as is_untagged_click,
        case
            when measured.ahead_seconds between -3600 and 3600
                then measured.visited_utc_column_at
            when measured.ahead_seconds between 7200 and 14400
                then {{ dbt.dateadd("hour", -3, "measured.visited_utc_column_at") }}
            else measured.told_at
        end as visited_at
    from measured

),

final as (

    select
        {{ entity_key([
            "'yandex_metrica'",
            "worded.source_account_id",
            "substr(worded.record_id, 1, 4) || '-' || worded.visit_id",
        ]) }} as visit_key,
        'yandex_metrica' as source_system,
        worded.source_account_id,
        worded.visit_id,
        worded.visited_at,
        -- a counter knows browsers, not persons
        cast(null as varchar) as person_key,
        worded.client_id,
        worded.click_id,
        -- what the referrer alone does not tell
        case
            when worded.has_utm then null
            when worded.traffic_source = 'organic' then 'organic_search'
            when worded.traffic_source in ('social', 'messenger', 'email')
                then worded.traffic_source
        end as declared_channel,
        case
            when not worded.is_untagged_click then worded.utm_source
            when worded.ad_engine like 'ya%' then 'yandex'
            when worded.ad_engine like 'google%' then 'google'
            else coalesce(worded.ad_engine, 'ad')
        end as utm_source,
        case
            when worded.is_untagged_click then 'cpc' else worded.utm_medium
        end as utm_medium,
        case
            when worded.is_untagged_click then worded.direct_campaign_id
            else worded.utm_campaign
        end as utm_campaign,
        worded.utm_content,
        worded.utm_term,
        worded.referrer,
        worded.landing_url
    from worded

)

select * from final
