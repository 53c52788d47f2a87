{{ company_rows(
    "pipeline_roles",
    ["source_system", "source_account_id", "pipeline_id", "pipeline_role"],
    default=ref("default_pipeline_roles"),
) }},

patterns as (

    select
        coalesce(rules.source_system, '*') as source_system,
        coalesce(rules.source_account_id, '*') as source_account_id,
        rules.pipeline_id,
        rules.pipeline_role
    from rules

),

-- The rule that names most decides.
final as (

    select
        patterns.*,
        cast(
            case patterns.source_system when '*' then 1 else 0 end
            + case patterns.source_account_id when '*' then 2 else 0 end
            + case patterns.pipeline_id when '*' then 4 else 0 end
            as integer
        ) as priority
    from patterns

)

select * from final
