with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "visits") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        records.visit_id,
        records.deal_source_system,
        records.deal_source_account_id,
        records.person_id,
        records.client_id,
        -- attributes
        records.channel as declared_channel,
        records.utm_source,
        records.utm_medium,
        records.utm_campaign,
        records.utm_content,
        records.utm_term,
        records.referrer,
        records.landing_url,
        -- timestamps
        {{ try_cast("records.visited_at", "timestamp") }} as visited_at,
        -- load metadata
        {{ failed_casts([
            ("visited_at", "records.visited_at", try_cast("records.visited_at", "timestamp")),
        ]) }} as _failed_casts,
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
