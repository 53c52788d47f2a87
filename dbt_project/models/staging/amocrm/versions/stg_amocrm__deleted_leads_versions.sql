with records as (

    {{ new_records("raw_amocrm", "deleted_leads") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        -- timestamps
        {{ unix_to_timestamp("json_extract_string(records.payload, '$.updated_at')") }}
            as deleted_at,
        {{ version_metadata(failed_casts([
            (
                "deleted_at",
                "json_extract_string(records.payload, '$.updated_at')",
                unix_to_timestamp("json_extract_string(records.payload, '$.updated_at')"),
            ),
        ])) }}
    from records

)

select * from final
