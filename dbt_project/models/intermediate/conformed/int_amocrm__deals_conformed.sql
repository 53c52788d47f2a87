with leads as (

    select * from {{ ref("stg_amocrm__leads") }}

),

unsorted as (

    select * from {{ ref("stg_amocrm__unsorted") }}

),

accounts as (

    select * from {{ ref("int_amocrm__accounts_conformed") }}

),

channel_map as (

    select * from {{ ref("stg_company__channel_map") }}

),

loss_reasons as (

    select * from {{ ref("stg_amocrm__loss_reasons") }}

),

pulls as (

    select * from {{ ref("stg_amocrm__pulls") }}

),

unsorted_stages as (

    select
        stages.source_account_id,
        stages.pipeline_id,
        stages.stage_id
    from {{ ref("int_amocrm__pipeline_stages_conformed") }} as stages
    where stages.is_unsorted and stages.is_current
    qualify row_number() over (
        partition by stages.source_account_id, stages.pipeline_id
        order by stages.is_deleted, stages.stage_position, stages.stage_id
    ) = 1

),

-- The bin lists deleted leads while they lie in it; the log tells of them for ever. The event of a
-- merge stands at the card that is gone and names no other.
deletion_signs as (

    select
        deleted_leads.source_account_id,
        deleted_leads.record_id as lead_id,
        deleted_leads.deleted_at as happened_at,
        not deleted_leads._is_deleted as is_in_bin,
        'lead_deleted' as sign
    from {{ ref("stg_amocrm__deleted_leads") }} as deleted_leads
    union all
    select
        events.source_account_id,
        events.entity_id as lead_id,
        events.created_at as happened_at,
        false as is_in_bin,
        events.event_type as sign
    from {{ ref("stg_amocrm__events") }} as events
    where
        events.event_type in ('lead_deleted', 'lead_restored')
        or (events.event_type = 'entity_merged' and events.entity_type = 'lead')

),

deletions as (

    select
        deletion_signs.source_account_id,
        deletion_signs.lead_id,
        bool_or(deletion_signs.is_in_bin) as is_in_bin,
        max(case when deletion_signs.sign = 'lead_deleted' then deletion_signs.happened_at end)
            as deleted_at,
        max(case when deletion_signs.sign = 'lead_restored' then deletion_signs.happened_at end)
            as restored_at,
        max(case when deletion_signs.sign = 'entity_merged' then deletion_signs.happened_at end)
            as merged_at
    from deletion_signs
    group by
        deletion_signs.source_account_id,
        deletion_signs.lead_id

),

requested_leads as (

    select distinct
        unsorted.source_account_id,
        unsorted.lead_id
    from unsorted
    where unsorted.lead_id is not null

),

lead_deals as (

    select
        leads.source_account_id,
        leads.record_id as deal_id,
        leads.record_id as lead_id,
        leads.lead_name as deal_name,
        leads.pipeline_id,
        leads.status_id as stage_id,
        leads.created_at,
        leads.updated_at,
        leads.closed_at,
        leads.price,
        leads.responsible_user_id,
        leads.main_contact_id,
        leads.first_company_id,
        leads.source_name,
        {{ utm_word("leads.utm_source") }} as utm_source,
        {{ utm_word("leads.utm_medium") }} as utm_medium,
        {{ utm_word("leads.utm_campaign") }} as utm_campaign,
        {{ utm_word("leads.utm_content") }} as utm_content,
        {{ utm_word("leads.utm_term") }} as utm_term,
        leads.ym_client_id,
        leads.click_id,
        coalesce(leads.embedded_loss_reason, loss_reasons.loss_reason) as loss_reason,
        leads.tags,
        unsorted_stages.stage_id is not null as is_unsorted,
        (
            leads.is_deleted
            or coalesce(deletions.is_in_bin, false)
            -- A version newer than the deletion proves that the lead was restored.
            or coalesce(
                deletions.deleted_at >= leads.updated_at
                and deletions.deleted_at
                >= coalesce(deletions.restored_at, deletions.deleted_at),
                false
            )
        )
        -- A request that was declined, which deletes its lead, stays a lead all the same.
        and (unsorted_stages.stage_id is null or requested_leads.lead_id is null)
        -- A card that lives on was edited by the merge and has a version of that moment, or of the
        -- second before the event was written; the list showed it after the merge, as it never
        -- shows one that is gone.
        or coalesce(
            deletions.merged_at > leads.updated_at
            and deletions.merged_at > coalesce(pulls.observed_until_at, leads.updated_at),
            false
        ) as is_deleted
    from leads
    left join pulls on leads._pull_id = pulls.pull_id
    left join requested_leads
        on
            leads.source_account_id = requested_leads.source_account_id
            and leads.record_id = requested_leads.lead_id
    left join loss_reasons
        on
            leads.source_account_id = loss_reasons.source_account_id
            and leads.loss_reason_id = loss_reasons.record_id
    left join unsorted_stages
        on
            leads.source_account_id = unsorted_stages.source_account_id
            and leads.pipeline_id = unsorted_stages.pipeline_id
            and leads.status_id = unsorted_stages.stage_id
    left join deletions
        on
            leads.source_account_id = deletions.source_account_id
            and leads.record_id = deletions.lead_id

),

-- A request in "unsorted" is a lead from its arrival, whether the plain list shows its lead or not,
-- and after it was declined too.
unsorted_deals as (

    select
        unsorted.source_account_id,
        coalesce(unsorted.lead_id, 'unsorted-' || unsorted.record_id) as deal_id,
        unsorted.lead_id,
        unsorted.lead_name as deal_name,
        unsorted.pipeline_id,
        unsorted_stages.stage_id,
        unsorted.created_at,
        unsorted.created_at as updated_at,
        cast(null as timestamp) as closed_at,
        cast(null as decimal(18, 2)) as price,
        cast(null as varchar) as responsible_user_id,
        unsorted.contact_id as main_contact_id,
        unsorted.company_id as first_company_id,
        unsorted.source_name,
        cast(null as varchar) as utm_source,
        cast(null as varchar) as utm_medium,
        cast(null as varchar) as utm_campaign,
        cast(null as varchar) as utm_content,
        cast(null as varchar) as utm_term,
        cast(null as varchar) as ym_client_id,
        cast(null as varchar) as click_id,
        cast(null as varchar) as loss_reason,
        cast(null as varchar) as tags,
        true as is_unsorted,
        false as is_deleted
    from unsorted
    left join unsorted_stages
        on
            unsorted.source_account_id = unsorted_stages.source_account_id
            and unsorted.pipeline_id = unsorted_stages.pipeline_id
    left join leads
        on
            unsorted.source_account_id = leads.source_account_id
            and unsorted.lead_id = leads.record_id
    where leads.record_id is null
    qualify row_number() over (
        partition by
            unsorted.source_account_id,
            coalesce(unsorted.lead_id, 'unsorted-' || unsorted.record_id)
        order by unsorted.created_at, unsorted.record_id
    ) = 1

),

deals as (

    select * from lead_deals
    union all
    select * from unsorted_deals

),

-- "Авито" is a channel and "Телефония" is none: only a rule of the company can tell them apart.
source_words as (

    select distinct
        deals.source_name as declared_channel,
        '' as utm_source,
        '' as utm_medium,
        '' as utm_campaign
    from deals
    where deals.source_name <> ''

),

channel_sources as (

    {{ channels_of_words("source_words", ["declared_channel"], "channel_map") }}

),

final as (

    select
        {{ entity_key(["'amocrm'", "deals.source_account_id", "deals.deal_id"]) }} as deal_key,
        'amocrm' as source_system,
        deals.source_account_id,
        deals.deal_id,
        case
            when deals.lead_id is not null
                then accounts.account_url || '/leads/detail/' || deals.lead_id
        end as deal_url,
        deals.deal_name,
        deals.pipeline_id,
        deals.stage_id,
        {{ entity_key([
            "'amocrm'",
            "deals.source_account_id",
            "deals.pipeline_id",
            "deals.stage_id",
        ]) }} as stage_key,
        case deals.stage_id when '142' then 'won' when '143' then 'lost' else 'open' end
            as declared_outcome,
        deals.created_at,
        deals.updated_at,
        deals.closed_at,
        deals.price as deal_native_amount,
        accounts.currency_code,
        {{ entity_key(["'amocrm'", "deals.source_account_id", "deals.responsible_user_id"]) }}
            as sales_rep_key,
        {{ entity_key(["'amocrm'", "deals.source_account_id", "deals.main_contact_id"]) }}
            as person_key,
        {{ entity_key(["'amocrm'", "deals.source_account_id", "deals.first_company_id"]) }}
            as company_key,
        -- amoCRM has none; the company's tables say it
        cast(null as varchar) as declared_segment,
        -- UTM fields say more than the name of a source, a campaign for one
        case
            when
                coalesce(deals.utm_source, '') = ''
                and coalesce(deals.utm_medium, '') = ''
                and coalesce(deals.utm_campaign, '') = ''
                then channel_sources.declared_channel
        end as declared_channel,
        deals.utm_source,
        deals.utm_medium,
        deals.utm_campaign,
        deals.utm_content,
        deals.utm_term,
        deals.ym_client_id as client_id,
        deals.click_id,
        deals.loss_reason,
        -- loss comments are notes, whose texts are not kept
        cast(null as varchar) as loss_text,
        nullif(deals.tags, '') as tags,
        deals.is_unsorted,
        deals.is_deleted
    from deals
    left join accounts on deals.source_account_id = accounts.source_account_id
    left join channel_sources on deals.source_name = channel_sources.declared_channel

)

select * from final
