-- A returned row is a number of the last full month that differs from the CRM's own list.
-- A warning: a company that says in stage_map or pipeline_roles that some won stages are no sales
-- differs on purpose; the owner sees the line in rpt_data_trust.
{{ config(severity="warn") }}
select
    source_system,
    source_account_id,
    check_id,
    value,
    limit_value
from {{ ref("rpt_data_trust") }}
where
    check_id in ('crm_new_deals', 'crm_won_deals', 'crm_won_amount')
    and status = 'fail'
