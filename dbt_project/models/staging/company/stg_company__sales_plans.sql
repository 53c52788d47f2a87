{{ company_rows("sales_plans", ["period_type", "period_start_date", "metric_id", "plan_value"]) }},

final as (

    select
        rules.period_type,
        {{ try_cast("rules.period_start_date", "date") }} as period_start_date,
        rules.metric_id,
        {{ try_cast("rules.plan_value", "decimal(18, 2)") }} as plan_value
    from rules

)

select * from final
