with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "ad_spend") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        records.platform,
        records.account_id,
        records.campaign_id,
        records.ad_id,
        -- attributes
        records.campaign_name,
        records.channel as declared_channel,
        records.currency_code,
        records.vat_mode,
        {{ try_cast("records.vat_rate", "decimal(9, 4)") }} as vat_rate,
        {{ try_cast("records.impression_count", "bigint") }} as impression_count,
        {{ try_cast("records.click_count", "bigint") }} as click_count,
        -- amounts
        {{ try_cast("records.spend_amount", "decimal(18, 2)") }} as spend_native_amount,
        -- timestamps
        {{ try_cast("records.spend_date", "date") }} as spend_date,
        -- load metadata
        {{ failed_casts([
            ("vat_rate", "records.vat_rate", try_cast("records.vat_rate", "decimal(9, 4)")),
            ("impression_count", "records.impression_count", try_cast("records.impression_count", "bigint")),
            ("click_count", "records.click_count", try_cast("records.click_count", "bigint")),
            ("spend_native_amount", "records.spend_amount", try_cast("records.spend_amount", "decimal(18, 2)")),
            ("spend_date", "records.spend_date", try_cast("records.spend_date", "date")),
        ]) }} as _failed_casts,
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
