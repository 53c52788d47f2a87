"""Who is who, from raw tables to marts: one person written by hand among a simulated company's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingest.config import load_settings
from ingest.demo import CompanyTables, DemoCompany, story
from ingest.demo.scale import ScaledCompany, write_raw
from orchestration.lib.benchmark.companies import opened
from orchestration.lib.benchmark.identity import merge_rates
from orchestration.lib.benchmark.world import save_truth
from tests.product import Product

# Half a minute, most of it one more company; the rules themselves are unit tests of the models.
pytestmark = [pytest.mark.e2e, pytest.mark.campaign]

CARD, SECOND_CARD = 99_000_001, 99_000_002
FORM_DEAL, CALL_DEAL, NOBODYS_DEAL = 99_100_001, 99_100_002, 99_100_003
DESKTOP, MOBILE = "17990000010000001", "17990000020000002"
FIRST_CLICK, SECOND_CLICK = "9900000000000000001", "9900000000000000002"
SITE = "https://dubrava.example/kitchens"


def visit(number: int, moment: str, client_id: str, **others: Any) -> dict[str, Any]:
    return {
        "visit_id": str(7_990_000_000_000_000_000 + number),
        "client_id": client_id,
        "person_id": CARD,
        "visited_at": moment,
        "start_url": SITE,
        "end_url": SITE,
        **others,
    }


# She clicks an ad at work and signs in, finds the site again on her phone and sends the form there after
# a second ad: the deal knows the phone's browser and, of her account, the first click. A week later
# she rings the number of a marketplace: telephony makes a new card with the same phone, written
# otherwise, and the number's own utm set.
HER_OWN = CompanyTables.build(
    now=story.END_OF_CLOCK,
    pipelines=(
        {
            "pipeline_id": story.SALES_PIPELINE_ID,
            "name": "Продажи",
            "stages": ({"stage_id": 61301001, "name": "Новая заявка"},),
        },
    ),
    contacts=[
        {
            "contact_id": CARD,
            "person_id": CARD,
            "first_name": "Лена",
            "phone": "+7 (916) 000-99-01",
            "email": "lena.990001@mail.example",
            "created_at": "2026-10-05T12:00:00+03:00",
            "updated_at": "2026-10-05T12:00:00+03:00",
        },
        {
            "contact_id": SECOND_CARD,
            "person_id": CARD,
            "phone": "8 916 000 99 01",
            "created_at": "2026-10-12T15:00:00+03:00",
            "updated_at": "2026-10-12T15:00:00+03:00",
        },
    ],
    visits=[
        visit(
            1,
            "2026-10-01T10:00:00+03:00",
            DESKTOP,
            device="desktop",
            start_url=f"{SITE}?utm_source=yandex&utm_medium=cpc&yclid={FIRST_CLICK}",
            traffic_source="ad",
            adv_engine="ya_direct",
            utm_source="yandex",
            utm_medium="cpc",
            click_id=FIRST_CLICK,
        ),
        visit(
            2,
            "2026-10-03T20:00:00+03:00",
            MOBILE,
            device="mobile",
            traffic_source="organic",
            referer="https://yandex.ru/",
        ),
        visit(
            3,
            "2026-10-05T11:55:00+03:00",
            MOBILE,
            device="mobile",
            start_url=f"{SITE}?utm_source=yandex&utm_medium=cpc&yclid={SECOND_CLICK}",
            traffic_source="ad",
            adv_engine="ya_direct",
            utm_source="yandex",
            utm_medium="cpc",
            click_id=SECOND_CLICK,
        ),
    ],
    calls=[
        {
            "call_id": 99_200_001,
            "contact_id": SECOND_CARD,
            "called_at": "2026-10-12T15:00:00+03:00",
            "direction": "in",
            "duration_seconds": 240,
            "outcome": "conversation",
            "phone": "89160009901",
        }
    ],
    deals=[
        {
            "deal_id": FORM_DEAL,
            "contact_id": CARD,
            "created_at": "2026-10-05T12:00:00+03:00",
            "amount": 100_000,
            "utm_source": "yandex",
            "utm_medium": "cpc",
            "client_id": MOBILE,
            "click_id": FIRST_CLICK,
        },
        {
            "deal_id": CALL_DEAL,
            "contact_id": SECOND_CARD,
            "created_at": "2026-10-12T15:00:00+03:00",
            "amount": 300_000,
            "utm_source": "avito",
            "utm_medium": "listing",
        },
        {
            "deal_id": NOBODYS_DEAL,
            "created_at": "2026-10-13T15:00:00+03:00",
            "utm_source": "avito",
        },
    ],
)
ADDED = ("contacts", "visits", "calls", "deals")


@dataclass(frozen=True)
class WithHer(ScaledCompany):
    """The simulated company and the person above."""

    def blocks(self) -> Iterator[CompanyTables]:
        """Yield the company's blocks, her rows added to the first."""
        for number, tables in enumerate(super().blocks()):
            added = {
                name: pa.concat_tables([getattr(tables, name), getattr(HER_OWN, name)])
                for name in ADDED
            }
            yield replace(tables, **added) if number == 0 else tables


COMPANY = WithHer(deals=600, months=4)
# Seeds and models: what data tests would say of them, a refresh's data tests say.
BUILD = ("dbt", "--quiet", "build", "--exclude-resource-type", "test", "unit_test")
MODELS = (
    "+fct_attribution_credits",
    "fct_touches",
    "+dim_customers",
    "dim_identities",
    "int_browsers_linked",
    "int_identity_merges_logged",
    "int_identifier_sightings_unioned",
    "+int_amocrm__identifier_sightings_conformed",
    "+int_files__identifier_sightings_conformed",
)


@dataclass
class Built:
    """A home whose models were built by hand, and what they say."""

    product: Product

    def build(self, *models: str) -> None:
        """Build the models."""
        self.product.run(*BUILD, "--select", *models)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on marts and intermediate models."""
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            for file, name in (("warehouse", "warehouse"), ("serve/build", "serve")):
                path = self.product.home / f"{file}.duckdb"
                connection.execute(f"attach '{path}' as {name} (read_only)")
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    home = tmp_path_factory.mktemp("identity") / "home"
    write_raw(COMPANY, home)
    found = Built(Product(home))
    found.build(*MODELS)
    return found


HER = f"""
    select customer_key from serve.marts.dim_identities
    where identity_kind = 'person' and identity_id = '{CARD}'
"""


def test_two_cards_and_two_browsers_are_one_customer(built: Built) -> None:
    identities = built.query(
        f"select identity_kind, identity_id from serve.marts.dim_identities "
        f"where customer_key = ({HER}) order by all"
    )
    assert identities == [
        ("browser", DESKTOP),
        ("browser", MOBILE),
        ("person", str(CARD)),
        ("person", str(SECOND_CARD)),
    ]
    assert built.query(
        "select deal_id, deal_kind from serve.marts.dim_deals "
        f"where customer_key = ({HER}) order by 1"
    ) == [(str(FORM_DEAL), "new"), (str(CALL_DEAL), "new")]
    # A phone, an e-mail and both browsers.
    assert built.query(
        f"select identity_key_count from serve.marts.dim_customers where customer_key = ({HER})"
    ) == [(4,)]


def test_her_touches_are_three_visits_and_the_call(built: Built) -> None:
    touches = built.query(
        "select touch_source, strftime(touched_at, '%m-%d %H:%M'), channel, is_paid "
        f"from serve.marts.fct_touches where customer_key = ({HER}) order by touched_at"
    )
    assert touches == [
        ("visit", "10-01 07:00", "yandex_direct", True),
        ("visit", "10-03 17:00", "organic_search", False),
        ("visit", "10-05 08:55", "yandex_direct", True),
        ("crm", "10-12 12:00", "marketplace", True),
    ]


def test_each_request_is_credited_to_what_came_before_it(built: Built) -> None:
    credits = built.query(
        f"""
        select deal_key[-8:], attribution_model, list(channel order by touch_number)
        from serve.marts.fct_attribution_credits
        where
            outcome = 'lead'
            and attribution_model in ('first', 'last', 'linear')
            and deal_key[-8:] in ('{FORM_DEAL}', '{CALL_DEAL}')
        group by all
        order by all
        """
    )
    visits = ["yandex_direct", "organic_search", "yandex_direct"]
    assert credits == [
        (str(FORM_DEAL), "first", visits[:1]),
        (str(FORM_DEAL), "last", visits[-1:]),
        (str(FORM_DEAL), "linear", visits),
        (str(CALL_DEAL), "first", visits[:1]),
        (str(CALL_DEAL), "last", ["marketplace"]),
        (str(CALL_DEAL), "linear", [*visits, "marketplace"]),
    ]


def test_the_log_tells_which_key_joined_her_cards(built: Built) -> None:
    ((kind, into, joined, is_undone, is_load_time),) = built.query(
        f"""
        select
            identifier_kind,
            into_customer_key,
            joined_customer_key,
            is_undone,
            known_at in (select inserted_at::timestamp from warehouse.raw_amocrm._dlt_loads)
        from warehouse.intermediate.int_identity_merges_logged
        where customer_key = ({HER})
        """
    )
    assert (kind, is_undone, is_load_time) == ("phone", False, True)
    assert {into.split(":")[-1], joined.split(":")[-1]} == {str(CARD), str(SECOND_CARD)}


def test_a_deal_without_a_person_is_its_own_customer(built: Built) -> None:
    assert built.query(
        f"select customer_key = 'deal:' || deal_key from serve.marts.dim_deals "
        f"where deal_id = '{NOBODYS_DEAL}'"
    ) == [(True,)]


def test_less_than_one_in_a_hundred_is_joined_wrongly_or_kept_apart(
    built: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    home = load_settings({"VORONKA_HOME": str(built.product.home)}).home
    # The benchmark looks at what is published.
    shutil.copyfile(home.serve_dir / "build.duckdb", home.serve_current)
    company = DemoCompany(seed=COMPANY.seed, months=COMPANY.months, leads=COMPANY.deals)
    save_truth(home, company.planted())
    with opened(home) as connection:
        rates = merge_rates(connection)
    with capsys.disabled():
        print("", *rates.lines(), sep="\n")
    assert rates.true_pairs > 100
    assert rates.given_visits > 300
    assert rates.over_merge_ratio < 0.01
    assert rates.under_merge_ratio < 0.01
    assert rates.stranger_visit_ratio < 0.01
    assert rates.lost_visit_ratio < 0.01
