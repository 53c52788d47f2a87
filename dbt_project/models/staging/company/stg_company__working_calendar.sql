{{ company_rows(
    "working_calendar",
    ["date_day", "is_business_day", "opens_at", "closes_at"],
    default=ref("default_working_calendar"),
) }},

final as (

    select
        {{ try_cast("rules.date_day", "date") }} as date_day,
        {{ try_cast("rules.is_business_day", "boolean") }} as is_business_day,
        rules.opens_at,
        rules.closes_at
    from rules

)

select * from final
