with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "source_accounts") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        -- attributes
        records.time_zone,
        records.currency_code,
        -- timestamps
        {{ try_cast("records.observed_until", "timestamp") }} as observed_until_at,
        -- load metadata
        {{ failed_casts([
            ("observed_until_at", "records.observed_until", try_cast("records.observed_until", "timestamp")),
        ]) }} as _failed_casts,
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
