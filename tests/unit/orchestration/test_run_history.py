from contextlib import closing

import sqlalchemy

from orchestration.lib.run_history import EventLog


class _Closing(EventLog):
    close = EventLog.dispose


def test_a_table_is_seen_once_it_is_there_and_is_not_asked_for_again(tmp_path):
    asked = []

    def on_connect(connection, _record):
        asked.append(connection)

    with closing(_Closing(str(tmp_path))) as log:
        assert log.has_table("asset_event_tags")
        assert not log.has_table("of_a_later_version")
        with log.index_connection() as connection:
            connection.execute(sqlalchemy.text("create table of_a_later_version (id integer)"))
        assert log.has_table("of_a_later_version")
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", on_connect)
        try:
            assert log.has_table("of_a_later_version")
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "connect", on_connect)
        assert asked == []


def test_a_migration_is_seen_once_it_is_done(tmp_path):
    with closing(_Closing(str(tmp_path))) as log:
        assert not log.has_secondary_index("of_a_later_version")
        log.enable_secondary_index("of_a_later_version")
        assert log.has_secondary_index("of_a_later_version")
