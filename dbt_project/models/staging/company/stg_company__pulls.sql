{{ known_pulls("raw_company") }}
