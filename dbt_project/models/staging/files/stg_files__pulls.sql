{{ known_pulls("raw_files") }}
