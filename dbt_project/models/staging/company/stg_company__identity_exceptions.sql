{{ company_rows(
    "identity_exceptions",
    ["source_system", "source_account_id", "person_id", "identifier_kind"],
) }},

final as (

    select
        coalesce(rules.source_system, '*') as source_system,
        coalesce(rules.source_account_id, '*') as source_account_id,
        rules.person_id,
        coalesce(rules.identifier_kind, '*') as identifier_kind
    from rules

)

select * from final
