{%- set paths = [
    "type", "entity_type", "entity_id", "created_by", "created_at",
    "value_before[0].lead_status.pipeline_id", "value_before[0].lead_status.id",
    "value_after[0].lead_status.pipeline_id", "value_after[0].lead_status.id",
] -%}
with records as (

    {{ new_records("raw_amocrm", "events") }}

),

-- One pass over ten million payloads: a list of paths costs a fifth less than a struct here.
parsed as (

    select
        records.*,
        json_extract_string(
            records.payload, ['$.{{ paths | join("', '$.") }}']
        ) as parts
    from records

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.cursor_at,
        records.parts[3] as entity_id,
        nullif(records.parts[4], '0') as created_by,
        -- attributes
        records.parts[1] as event_type,
        records.parts[2] as entity_type,
        records.parts[4] = '0' as is_created_by_robot,
        records.parts[6] as before_pipeline_id,
        records.parts[7] as before_status_id,
        records.parts[8] as after_pipeline_id,
        records.parts[9] as after_status_id,
        -- timestamps
        {{ unix_to_timestamp("records.parts[5]") }} as created_at,
        {{ version_metadata(failed_casts([
            ("created_at", "records.parts[5]", unix_to_timestamp("records.parts[5]")),
            (
                "value_after",
                "case when records.parts[1] = 'lead_status_changed' then records.parts[1] end",
                "records.parts[9]",
            ),
        ])) }}
    from parsed as records

)

select * from final
