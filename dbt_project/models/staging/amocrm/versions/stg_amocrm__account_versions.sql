with records as (

    {{ new_records("raw_amocrm", "account") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        -- attributes
        json_extract_string(records.payload, '$.name') as account_name,
        json_extract_string(records.payload, '$.subdomain') as subdomain,
        json_extract_string(records.payload, '$._links.self.href') as self_url,
        json_extract_string(records.payload, '$.country') as country_code,
        json_extract_string(records.payload, '$.currency') as currency_code,
        json_extract_string(
            records.payload, '$._embedded.datetime_settings.timezone'
        ) as time_zone,
        {{ version_metadata("cast(null as varchar)") }}
    from records

)

select * from final
