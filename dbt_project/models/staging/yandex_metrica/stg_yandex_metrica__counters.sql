{{ known_records(ref("stg_yandex_metrica__counters_versions"), ref("stg_yandex_metrica__pulls")) }}
