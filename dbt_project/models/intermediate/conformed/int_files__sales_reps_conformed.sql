with sales_reps as (

    select * from {{ ref("stg_files__sales_reps") }}

),

deals as (

    select * from {{ ref("stg_files__deals") }}

),

stage_changes as (

    select * from {{ ref("stg_files__stage_changes") }}

),

-- Reps that only deals and logs name are reps too.
mentioned as (

    select
        deals.source_account_id,
        deals.sales_rep_id
    from deals
    where deals.sales_rep_id is not null
    union
    select
        stage_changes.source_account_id,
        stage_changes.changed_by_sales_rep_id as sales_rep_id
    from stage_changes
    where
        stage_changes.changed_by_sales_rep_id is not null
        and stage_changes.deal_source_system is null

),

known as (

    select
        coalesce(sales_reps.source_account_id, mentioned.source_account_id) as source_account_id,
        coalesce(sales_reps.sales_rep_id, mentioned.sales_rep_id) as sales_rep_id,
        sales_reps.sales_rep_name,
        sales_reps.team_name,
        -- a rep nobody describes is taken as working
        coalesce(sales_reps.is_active, true) as is_active
    from sales_reps
    full join mentioned
        on
            sales_reps.source_account_id = mentioned.source_account_id
            and sales_reps.sales_rep_id = mentioned.sales_rep_id

),

final as (

    select
        {{ entity_key(["'files'", "known.source_account_id", "known.sales_rep_id"]) }}
            as sales_rep_key,
        'files' as source_system,
        known.source_account_id,
        known.sales_rep_id,
        known.sales_rep_name,
        known.team_name,
        known.is_active
    from known

)

select * from final
