with records as (

    {{ new_records("raw_amocrm", "unsorted") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        json_extract_string(records.payload, '$.pipeline_id') as pipeline_id,
        json_extract_string(records.payload, '$._embedded.leads[0].id') as lead_id,
        json_extract_string(records.payload, '$._embedded.contacts[0].id') as contact_id,
        json_extract_string(records.payload, '$._embedded.companies[0].id') as company_id,
        -- attributes
        json_extract_string(records.payload, '$.category') as category,
        json_extract_string(records.payload, '$.source_name') as source_name,
        json_extract_string(records.payload, '$._embedded.leads[0].name') as lead_name,
        -- timestamps
        {{ unix_to_timestamp("json_extract_string(records.payload, '$.created_at')") }}
            as created_at,
        {{ version_metadata(failed_casts([
            (
                "created_at",
                "json_extract_string(records.payload, '$.created_at')",
                unix_to_timestamp("json_extract_string(records.payload, '$.created_at')"),
            ),
        ])) }}
    from records

)

select * from final
