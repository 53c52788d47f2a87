with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "quarantined_rows") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.table_name,
        records.file_name,
        records.line_number,
        -- attributes
        records.reason,
        -- load metadata
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
