with records as (

    {{ new_records("raw_yandex_metrica", "visits") }}

),

-- An absent number is "0", an absent text is empty.
texts as (

    select
        records.*,
        nullif(records.page_views, '') as page_views_text,
        nullif(records.visit_duration, '') as visit_duration_text,
        nullif(records.is_new_user, '') as is_new_user_text,
        nullif(records.bounce, '') as bounce_text,
        {{ try_cast(
            "regexp_extract_all(records.goals_date_time, '''([^'']*)''', 1)", "timestamp[]"
        ) }} as goals_local_at
    from records

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        -- a visit has no time of change: the load decides
        cast(null as timestamp) as cursor_at,
        records.visit_id,
        nullif(nullif(records.client_id, ''), '0') as client_id,
        nullif(coalesce(
            nullif(regexp_extract(records.start_url, '[?&]yclid=([0-9A-Za-z_-]+)', 1), ''),
            regexp_extract(records.start_url, '[?&]gclid=([0-9A-Za-z_-]+)', 1)
        ), '') as click_id,
        -- attributes
        nullif(records.last_traffic_source, '') as traffic_source,
        nullif(records.last_adv_engine, '') as ad_engine,
        nullif(nullif(records.last_direct_click_order, ''), '0') as direct_campaign_id,
        nullif(records.last_utm_source, '') as utm_source,
        nullif(records.last_utm_medium, '') as utm_medium,
        nullif(records.last_utm_campaign, '') as utm_campaign,
        nullif(records.last_utm_content, '') as utm_content,
        nullif(records.last_utm_term, '') as utm_term,
        nullif(records.referer, '') as referrer,
        nullif(records.start_url, '') as landing_url,
        nullif(records.end_url, '') as exit_url,
        case records.device_category
            when '1' then 'desktop'
            when '2' then 'mobile'
            when '3' then 'tablet'
            when '4' then 'tv'
        end as device,
        {{ try_cast("records.is_new_user_text", "boolean") }} as is_new_visitor,
        {{ try_cast("records.bounce_text", "boolean") }} as is_bounce,
        {{ try_cast("records.page_views_text", "bigint") }} as page_view_count,
        {{ try_cast("records.visit_duration_text", "bigint") }} as duration_seconds,
        -- of the same length: a goal, and its moment in the counter's zone
        regexp_extract_all(records.goals_id, '[0-9]+') as goal_ids,
        records.goals_local_at,
        -- timestamps
        {{ try_cast("records.date", "date") }} as visit_date,
        {{ try_cast("records.date_time", "timestamp") }} as visited_local_at,
        {{ try_cast("records.date_time_utc", "timestamp") }} as visited_utc_column_at,
        {{ version_metadata(failed_casts([
            ("visit_date", "records.date", try_cast("records.date", "date")),
            ("visited_local_at", "records.date_time", try_cast("records.date_time", "timestamp")),
            ("visited_utc_column_at", "nullif(records.date_time_utc, '')", try_cast("records.date_time_utc", "timestamp")),
            ("is_new_visitor", "records.is_new_user_text", try_cast("records.is_new_user_text", "boolean")),
            ("is_bounce", "records.bounce_text", try_cast("records.bounce_text", "boolean")),
            ("page_view_count", "records.page_views_text", try_cast("records.page_views_text", "bigint")),
            ("duration_seconds", "records.visit_duration_text", try_cast("records.visit_duration_text", "bigint")),
            (
                "goals_local_at",
                "nullif(records.goals_date_time, '[]')",
                "case when len(records.goals_local_at) = list_count(records.goals_local_at) then 1 end",
            ),
        ])) }}
    from texts as records

)

select * from final
