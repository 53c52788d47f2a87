import sqlalchemy

from orchestration.lib.run_history import EventLog


def test_a_table_is_seen_once_it_is_there_and_is_not_asked_for_again(tmp_path):
    log = EventLog(str(tmp_path))
    try:
        assert log.has_table("asset_event_tags")
        assert not log.has_table("of_a_later_version")
        with log.index_connection() as connection:
            connection.execute(sqlalchemy.text("create table of_a_later_version (id integer)"))
        assert log.has_table("of_a_later_version")
        asked = []
        sqlalchemy.event.listen(
            sqlalchemy.Engine, "connect", lambda connection, _: asked.append(connection)
        )
        assert log.has_table("of_a_later_version")
        assert asked == []
    finally:
        log.dispose()


def test_a_migration_is_seen_once_it_is_done(tmp_path):
    log = EventLog(str(tmp_path))
    try:
        assert not log.has_secondary_index("of_a_later_version")
        log.enable_secondary_index("of_a_later_version")
        assert log.has_secondary_index("of_a_later_version")
    finally:
        log.dispose()
