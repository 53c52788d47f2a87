with deals as (

    select * from {{ ref("int_deals_unioned") }}

),

stages as (

    select * from {{ ref("int_pipeline_stages_unioned") }}
    where is_current

),

roles as (

    select
        mapped.stage_key,
        mapped.pipeline_role
    from {{ ref("int_pipeline_stages_mapped") }} as mapped
    where mapped.is_current

),

accounts as (

    select * from {{ ref("int_accounts_unioned") }}

),

settings as (

    select * from {{ ref("int_company_settings") }}

),

-- What a person sees who opens the CRM's list of deals with a filter: tests, duplicates and all,
-- but nothing deleted and nothing still unaccepted. Won is asked of the pipelines that sell: a
-- closed complaint is no sale, whatever the CRM calls its last stage.
listed as (

    select
        deals.source_system,
        deals.source_account_id,
        deals.deal_native_amount,
        deals.currency_code,
        coalesce(deals.declared_outcome, stages.source_stage_category, 'open') = 'won'
        and coalesce(roles.pipeline_role, 'sales') in ('sales', 'repeat') as is_won,
        {{ local_date("deals.created_at", "settings.time_zone") }} as created_date,
        {{ local_date("deals.closed_at", "settings.time_zone") }} as closed_date,
        cast(
            {{ dbt.dateadd(
                "month",
                -1,
                dbt.date_trunc(
                    "month", local_date("accounts.observed_until_at", "settings.time_zone")
                ),
            ) }} as date
        ) as month_start_date,
        cast(
            {{ dbt.date_trunc(
                "month", local_date("accounts.observed_until_at", "settings.time_zone")
            ) }} as date
        ) as month_end_date,
        settings.currency_code as reporting_currency_code
    from deals
    inner join accounts
        on
            deals.source_system = accounts.source_system
            and deals.source_account_id = accounts.source_account_id
    left join stages on deals.stage_key = stages.stage_key
    left join roles on deals.stage_key = roles.stage_key
    cross join settings
    where
        not deals.is_deleted
        and not deals.is_unsorted

),

final as (

    select
        source_system,
        source_account_id,
        month_start_date,
        month_end_date,
        count(*) filter (
            where created_date >= month_start_date and created_date < month_end_date
        ) as new_deal_count,
        count(*) filter (
            where is_won and closed_date >= month_start_date and closed_date < month_end_date
        ) as won_deal_count,
        coalesce(
            sum(deal_native_amount) filter (
                where is_won and closed_date >= month_start_date and closed_date < month_end_date
            ),
            0
        ) as won_native_amount,
        count(*) filter (
            where coalesce(currency_code, reporting_currency_code) <> reporting_currency_code
        ) as foreign_deal_count
    from listed
    group by
        source_system,
        source_account_id,
        month_start_date,
        month_end_date

)

select * from final
