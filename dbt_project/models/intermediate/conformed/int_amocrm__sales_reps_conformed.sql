with users as (

    select * from {{ ref("stg_amocrm__users") }}

),

leads as (

    select * from {{ ref("stg_amocrm__leads") }}

),

events as (

    select * from {{ ref("stg_amocrm__events") }}
    where event_type = 'lead_status_changed'

),

-- Deleted users vanish from the list, and only an administrator's token sees the list at all.
mentioned as (

    select
        leads.source_account_id,
        leads.responsible_user_id as user_id
    from leads
    where leads.responsible_user_id is not null
    union
    select
        events.source_account_id,
        events.created_by as user_id
    from events
    where events.created_by is not null

),

known as (

    select
        coalesce(users.source_account_id, mentioned.source_account_id) as source_account_id,
        coalesce(users.record_id, mentioned.user_id) as user_id,
        users.user_name,
        users.group_name,
        coalesce(users.is_active and not users._is_deleted, false) as is_active
    from users
    full join mentioned
        on
            users.source_account_id = mentioned.source_account_id
            and users.record_id = mentioned.user_id

),

final as (

    select
        {{ entity_key(["'amocrm'", "known.source_account_id", "known.user_id"]) }}
            as sales_rep_key,
        'amocrm' as source_system,
        known.source_account_id,
        known.user_id as sales_rep_id,
        known.user_name as sales_rep_name,
        known.group_name as team_name,
        known.is_active
    from known

)

select * from final
