with records as (

    {{ new_records("raw_amocrm", "loss_reasons") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        -- attributes
        json_extract_string(records.payload, '$.name') as loss_reason,
        {{ version_metadata("cast(null as varchar)") }}
    from records

)

select * from final
