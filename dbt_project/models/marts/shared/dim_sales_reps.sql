with sales_reps as (

    select * from {{ ref("int_sales_reps_unioned") }}

),

final as (

    select
        sales_reps.sales_rep_key,
        -- A person's name stays outside unless the company keeps it; the number tells apart.
        coalesce(
            nullif(sales_reps.sales_rep_name, ''),
            {{ dbt.concat(["'#'", "sales_reps.sales_rep_id"]) }}
        ) as sales_rep_name,
        sales_reps.team_name,
        coalesce(sales_reps.is_active, true) as is_active
    from sales_reps
    union all
    -- Facts without a sales rep keep null; the row lets a list be asked for by its name.
    select
        'nobody' as sales_rep_key,
        'nobody' as sales_rep_name,
        cast(null as {{ dbt.type_string() }}) as team_name,
        false as is_active

)

select * from final
