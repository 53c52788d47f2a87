with records as (

    {{ new_records("raw_amocrm", "users") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        -- attributes
        json_extract_string(records.payload, '$.name') as user_name,
        json_extract_string(records.payload, '$._embedded.groups[0].name') as group_name,
        {{ try_cast("json_extract_string(records.payload, '$.rights.is_active')", "boolean") }}
            as is_active,
        {{ version_metadata(failed_casts([
            (
                "is_active",
                "json_extract_string(records.payload, '$.rights.is_active')",
                try_cast("json_extract_string(records.payload, '$.rights.is_active')", "boolean"),
            ),
        ])) }}
    from records

)

select * from final
