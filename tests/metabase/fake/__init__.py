"""A Metabase in memory that behaves as a server does, surprises included.

    with running(FakeMetabase(version="0.63")) as fake:
        httpx.get(f"{fake.url}/api/session/properties")

It runs the SQL of cards on the real file (or PostgreSQL server) that the database's details name,
holds each request against Metabase's OpenAPI documents and a checker of ours (`fake.findings`), can
break at any request (`crash_after`, `stall`, `answer_html`, `start_slowly`) and tells what it holds
without ids (`dump`).
"""

from tests.metabase.fake.server import Asked, FakeMetabase, running
from tests.metabase.fake.state import ADMINISTRATORS, ALL_USERS, State

__all__ = ["ADMINISTRATORS", "ALL_USERS", "Asked", "FakeMetabase", "State", "running"]
