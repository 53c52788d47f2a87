{{ known_records(ref("stg_amocrm__contacts_versions"), ref("stg_amocrm__pulls")) }}
