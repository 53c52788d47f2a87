{{ known_records(ref("stg_amocrm__leads_versions"), ref("stg_amocrm__pulls")) }}
