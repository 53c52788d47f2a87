with sales_reps as (

    select * from {{ ref("int_sales_reps_unioned") }}

),

-- Dashboards group and filter by the name, so it has to tell people apart. The same number and name
-- in two accounts is one person; of people nobody names only the account can say it.
compared as (

    select
        sales_reps.sales_rep_key,
        sales_reps.source_account_id,
        nullif(sales_reps.sales_rep_name, '') as sales_rep_name,
        {{ dbt.concat(["'#'", "sales_reps.sales_rep_id"]) }} as sales_rep_number,
        sales_reps.team_name,
        sales_reps.is_active,
        count(*) over (partition by nullif(sales_reps.sales_rep_name, '')) as name_count,
        count(*) over (
            partition by
                nullif(sales_reps.sales_rep_name, ''),
                sales_reps.sales_rep_id
        ) as number_count
    from sales_reps

),

final as (

    select
        compared.sales_rep_key,
        -- A person's name stays outside unless the company keeps it; the number tells apart.
        case
            when compared.sales_rep_name is null and compared.number_count > 1
                then {{ dbt.concat(
                    ["compared.sales_rep_number", "' ('", "compared.source_account_id", "')'"]
                ) }}
            when compared.sales_rep_name is null then compared.sales_rep_number
            when
                compared.name_count > compared.number_count
                or compared.sales_rep_name = 'nobody'
                then {{ dbt.concat(
                    ["compared.sales_rep_name", "' '", "compared.sales_rep_number"]
                ) }}
            else compared.sales_rep_name
        end as sales_rep_name,
        compared.team_name,
        coalesce(compared.is_active, true) as is_active
    from compared
    union all
    -- Facts without a sales rep keep null; the row lets a list be asked for by its name.
    select
        'nobody' as sales_rep_key,
        'nobody' as sales_rep_name,
        cast(null as {{ dbt.type_string() }}) as team_name,
        false as is_active

)

select * from final
