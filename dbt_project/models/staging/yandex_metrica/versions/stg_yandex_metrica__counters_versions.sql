with records as (

    {{ new_records("raw_yandex_metrica", "counters") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        -- attributes
        json_extract_string(records.payload, '$.name') as counter_name,
        json_extract_string(records.payload, '$.time_zone_name') as time_zone,
        {{ version_metadata("cast(null as varchar)") }}
    from records

)

select * from final
