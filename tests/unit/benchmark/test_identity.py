"""Who is who, judged by what the simulation knows: no mistake of the marts can move the truth.

Thirty persons of two cards and one browser each; the first two stand in one company.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ingest.demo.tables import CompanyTables
from orchestration.lib.benchmark.identity import MergeRates, merge_rates
from orchestration.lib.benchmark.world import attach_truth
from tests.unit.benchmark.conftest import save_unplanted

PERSONS = range(1, 31)
MOMENT = "2026-01-10T10:00:00+03:00"
# The two of the company: six records, so fifteen pairs; every other person has three records.
TRUE_PAIRS = 15 + 28 * 3


def crowd() -> CompanyTables:
    return CompanyTables.build(
        now="2026-06-01T12:00:00+03:00",
        contacts=[
            *(
                {
                    "contact_id": 10 * person + number,
                    "person_id": person,
                    "company_id": 700 if person <= 2 else None,
                    "created_at": MOMENT,
                }
                for person in PERSONS
                for number in (1, 2)
            ),
            # Merged into the first card: the API shows it no more, and nobody can be asked for it.
            {
                "contact_id": 9,
                "person_id": 1,
                "created_at": MOMENT,
                "merged_into_contact_id": 11,
                "merged_at": MOMENT,
            },
        ],
        deals=[
            {
                "deal_id": 1000 + person,
                "contact_id": 10 * person + 1,
                "created_at": MOMENT,
                "client_id": str(5000 + person),
            }
            for person in PERSONS
        ]
        # Nobody has accepted it, so there is no card that names this browser.
        + [
            {
                "deal_id": 1099,
                "contact_id": 301,
                "created_at": MOMENT,
                "client_id": "5099",
            }
        ],
        unsorted=[{"uid": "waits", "deal_id": 1099, "contact_id": 301, "created_at": MOMENT}],
        visits=[
            {
                "visit_id": str(9000 + person),
                "client_id": str(5000 + person),
                "person_id": person,
                "visited_at": MOMENT,
            }
            for person in PERSONS
        ]
        + [{"visit_id": "9099", "client_id": "5099", "person_id": 30, "visited_at": MOMENT}],
    )


@pytest.fixture(scope="module")
def crowd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_unplanted(tmp_path_factory.mktemp("crowd"), crowd())


@pytest.fixture
def marts(crowd_folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return the truth, and marts that make no mistake."""
    with duckdb.connect() as opened:
        opened.execute("set timezone = 'UTC'")
        attach_truth(opened, crowd_folder)
        opened.execute("create schema marts")
        opened.execute("""
            create table marts.dim_identities as
            select
                'person' as identity_kind,
                contact_id as identity_id,
                'amocrm:900:' || company_id as company_key,
                case
                    when company_id is null then 'person:' || person_id
                    else 'company:' || company_id
                end as customer_key
            from truth.contacts
            where not is_gone
            union all
            select 'browser', client_id, null, customer_key
            from truth.visits
            inner join (
                select distinct
                    person_id,
                    case when person_id in ('1', '2') then 'company:700'
                    else 'person:' || person_id end as customer_key
                from truth.contacts
            ) using (person_id)
            where client_id <> '5099'
        """)
        opened.execute("""
            create table marts.fct_touches as
            select
                'visit-' || visit_id as touch_key,
                'visit' as touch_source,
                identities.customer_key
            from truth.visits
            inner join marts.dim_identities as identities
                on visits.client_id = identities.identity_id
        """)
        yield opened


def join_strangers(connection: duckdb.DuckDBPyConnection, size: int) -> None:
    """Give every so many customers one key, in identities, their companies and touches."""
    connection.execute(f"""
        create temporary table joined as
        select
            customer_key,
            'company:joined:' || (row_number() over (order by customer_key) - 1) // {size}
                as joined_key
        from (select distinct customer_key from marts.dim_identities)
    """)
    for table, changed in (("dim_identities", ", company_key = joined_key"), ("fct_touches", "")):
        connection.execute(f"""
            update marts.{table} set customer_key = joined_key {changed}
            from joined where {table}.customer_key = joined.customer_key
        """)


def test_marts_without_a_mistake_have_none(marts: duckdb.DuckDBPyConnection) -> None:
    assert merge_rates(marts) == MergeRates(
        true_pairs=TRUE_PAIRS,
        said_pairs=TRUE_PAIRS,
        right_pairs=TRUE_PAIRS,
        given_visits=30,
        stranger_visits=0,
        person_visits=30,
        known_visits=30,
        lost_visits=0,
        right_visits=30,
    )


def test_a_card_the_marts_lost_is_a_pair_they_lost(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("""
        delete from marts.dim_identities
        where identity_kind = 'person' and identity_id like '%2'
    """)
    rates = merge_rates(marts)
    assert rates.true_pairs == TRUE_PAIRS
    # Left of each person is a card and the browser; of the company's six records, four.
    assert (rates.said_pairs, rates.right_pairs) == (28 + 6, 28 + 6)
    assert rates.under_merge_ratio == 1 - 34 / 99


def test_strangers_in_a_false_company_stay_strangers(marts: duckdb.DuckDBPyConnection) -> None:
    join_strangers(marts, 15)
    rates = merge_rates(marts)
    assert rates.true_pairs == TRUE_PAIRS
    assert rates.over_merge_ratio > 0.9
    # A customer is known by the one most of whose cards it holds; all others' visits are strange.
    # 29 customers make two heaps: one is known by the company and its two visits, or by one person.
    assert rates.stranger_visits == 30 - 3
    assert rates.lost_visits == 27
    assert rates.right_visits == 3
