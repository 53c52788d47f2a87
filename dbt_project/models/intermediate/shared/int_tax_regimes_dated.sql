with tax_regimes as (

    select * from {{ ref("stg_company__tax_regimes") }}

),

final as (

    select
        valid_from_date,
        coalesce(
            lead(valid_from_date) over (order by valid_from_date),
            cast('9999-12-31' as date)
        ) as valid_to_date,
        vat_rate,
        is_vat_payer,
        -- What of a price is not the company's: who pays no VAT hands none of it on.
        case when is_vat_payer then vat_rate else 0 end as sales_vat_rate
    from tax_regimes

)

select * from final
