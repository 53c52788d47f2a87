{{ known_records(ref("stg_amocrm__users_versions"), ref("stg_amocrm__pulls")) }}
