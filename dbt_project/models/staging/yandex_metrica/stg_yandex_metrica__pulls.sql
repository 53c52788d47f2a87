{{ known_pulls("raw_yandex_metrica") }}
