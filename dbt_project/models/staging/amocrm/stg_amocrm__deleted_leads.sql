{{ known_records(ref("stg_amocrm__deleted_leads_versions"), ref("stg_amocrm__pulls")) }}
