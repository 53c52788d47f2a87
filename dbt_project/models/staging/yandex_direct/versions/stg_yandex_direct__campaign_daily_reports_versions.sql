with records as (

    {{ new_records("raw_yandex_direct", "campaign_daily_report") }}

),

-- The report writes "--" where it has no value.
texts as (

    select
        records.*,
        nullif(records.cost, '--') as cost_text,
        nullif(records.impressions, '--') as impressions_text,
        nullif(records.clicks, '--') as clicks_text
    from records

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        -- a restated day has no time of its own: the load decides
        cast(null as timestamp) as cursor_at,
        records.campaign_id,
        -- attributes
        records.campaign_name,
        records.include_vat,
        records.currency as currency_code,
        {{ try_cast("records.impressions_text", "bigint") }} as impression_count,
        {{ try_cast("records.clicks_text", "bigint") }} as click_count,
        -- amounts
        {{ try_cast("records.cost_text", "decimal(18, 2)") }} as cost,
        -- timestamps
        {{ try_cast("records.report_date", "date") }} as report_date,
        {{ version_metadata(failed_casts([
            ("impression_count", "records.impressions_text", try_cast("records.impressions_text", "bigint")),
            ("click_count", "records.clicks_text", try_cast("records.clicks_text", "bigint")),
            ("cost", "records.cost_text", try_cast("records.cost_text", "decimal(18, 2)")),
            ("report_date", "records.report_date", try_cast("records.report_date", "date")),
        ])) }}
    from texts as records

)

select * from final
