{{ known_pulls("raw_amocrm") }}
