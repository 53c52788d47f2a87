with records as (

    {{ new_records("raw_yandex_direct", "campaigns") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        -- attributes
        json_extract_string(records.payload, '$.Name') as campaign_name,
        {{ version_metadata("cast(null as varchar)") }}
    from records

)

select * from final
