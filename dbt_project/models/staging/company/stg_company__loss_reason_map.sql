{{ company_rows(
    "loss_reason_map",
    ["reason", "reason_category"],
    ["priority"],
    default=ref("default_loss_reason_map"),
) }},

-- A reason in full comes before a pattern, then the order of the table.
final as (

    select
        rules.reason,
        rules.reason_category,
        cast(
            case when rules.reason like '%\%%' escape '\' then 1000000 else 0 end
            + coalesce(rules.row_number, {{ try_cast("rules.priority", "bigint") }}, 0)
            as integer
        ) as priority
    from rules

)

select * from final
