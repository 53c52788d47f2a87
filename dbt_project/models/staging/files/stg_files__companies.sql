with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "companies") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        records.company_id,
        -- attributes
        records.company_name,
        records.tax_id,
        records.segment as declared_segment,
        -- load metadata
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
