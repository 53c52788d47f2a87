{{ company_rows("segments", ["segment", "min_amount", "max_amount"]) }},

final as (

    select
        rules.segment,
        {{ try_cast("rules.min_amount", "decimal(18, 2)") }} as min_amount,
        {{ try_cast("rules.max_amount", "decimal(18, 2)") }} as max_amount
    from rules

)

select * from final
