{{ company_rows(
    "tax_regimes",
    ["valid_from_date", "vat_rate", "is_vat_payer"],
    default=ref("default_tax_regimes"),
) }},

final as (

    select
        {{ try_cast("rules.valid_from_date", "date") }} as valid_from_date,
        {{ try_cast("rules.vat_rate", "decimal(9, 4)") }} as vat_rate,
        {{ try_cast("rules.is_vat_payer", "boolean") }} as is_vat_payer
    from rules

)

select * from final
