{{ company_rows(
    "channel_map",
    ["utm_source", "utm_medium", "utm_campaign", "declared_channel", "channel", "is_paid", "priority"],
    default=ref("default_channel_map"),
) }},

final as (

    select
        coalesce(rules.utm_source, '*') as utm_source,
        coalesce(rules.utm_medium, '*') as utm_medium,
        coalesce(rules.utm_campaign, '*') as utm_campaign,
        coalesce(rules.declared_channel, '*') as declared_channel,
        rules.channel,
        coalesce({{ try_cast("rules.is_paid", "boolean") }}, false) as is_paid,
        coalesce({{ try_cast("rules.priority", "integer") }}, 100) as priority
    from rules

)

select * from final
