with records as (

    {{ new_records("raw_vk_ads", "ad_plan_daily_statistics") }}

),

final as (

    select
        -- keys
        records.source_account_id,
        records.record_id,
        -- a restated day has no time of its own: the load decides
        cast(null as timestamp) as cursor_at,
        records.ad_plan_id,
        -- attributes
        records.currency as currency_code,
        {{ try_cast("records.includes_vat", "boolean") }} as includes_vat,
        {{ try_cast("records.shows", "bigint") }} as show_count,
        {{ try_cast("records.clicks", "bigint") }} as click_count,
        {{ try_cast("records.goals", "bigint") }} as goal_count,
        -- amounts
        {{ try_cast("records.spent", "decimal(18, 2)") }} as spent,
        -- timestamps
        {{ try_cast("records.report_date", "date") }} as report_date,
        {{ version_metadata(failed_casts([
            ("includes_vat", "records.includes_vat", try_cast("records.includes_vat", "boolean")),
            ("show_count", "records.shows", try_cast("records.shows", "bigint")),
            ("click_count", "records.clicks", try_cast("records.clicks", "bigint")),
            ("goal_count", "records.goals", try_cast("records.goals", "bigint")),
            ("spent", "records.spent", try_cast("records.spent", "decimal(18, 2)")),
            ("report_date", "records.report_date", try_cast("records.report_date", "date")),
        ])) }}
    from records

)

select * from final
