with records as (

    {{ snapshot_rows(ref("stg_files__current_pulls"), "raw_files", "payments") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        records.row_number,
        records.payment_id,
        records.invoice_id,
        records.deal_source_system,
        records.deal_source_account_id,
        records.deal_id,
        -- attributes
        records.invoice_number,
        records.payer_tax_id,
        records.currency_code,
        -- amounts
        {{ try_cast("records.payment_amount", "decimal(18, 2)") }} as payment_native_amount,
        -- timestamps
        {{ try_cast("records.paid_at", "timestamp") }} as paid_at,
        -- load metadata
        {{ failed_casts([
            ("payment_native_amount", "records.payment_amount", try_cast("records.payment_amount", "decimal(18, 2)")),
            ("paid_at", "records.paid_at", try_cast("records.paid_at", "timestamp")),
        ]) }} as _failed_casts,
        records._dlt_load_id as _load_id,
        records._loaded_at
    from records

)

select * from final
