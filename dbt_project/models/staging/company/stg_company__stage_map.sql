{{ company_rows(
    "stage_map",
    ["source_system", "source_account_id", "pipeline_id", "stage_id", "stage_category", "funnel_step"],
    default=ref("default_stage_map"),
) }},

patterns as (

    select
        coalesce(rules.source_system, '*') as source_system,
        coalesce(rules.source_account_id, '*') as source_account_id,
        coalesce(rules.pipeline_id, '*') as pipeline_id,
        rules.stage_id,
        rules.stage_category,
        rules.funnel_step
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
            + case patterns.stage_id when '*' then 8 else 0 end
            as integer
        ) as priority
    from patterns

)

select * from final
