"""Whether the marts know who is who: persons wrongly joined and wrongly kept apart.

A record is a contact card that the CRM shows, or a browser that the card of a deal names (by its
client id, or by an ad click made in it): a browser that no card names cannot be found by anybody,
and one of two persons is nobody's identity. Two records are truly one customer if they are one
person's, or if their persons stand in one company: `dim_customers` is a person or a company. All of
this is what the simulation knows; of the marts comes only what they say, and a record they do not
know is joined to nothing. Rates are of pairs of records, as such clusters are judged everywhere;
rates of visits say what mistakes do to touches.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from orchestration.lib.benchmark.measure import Measure, Way

# A company of more cards than this is a placeholder to the models.
_CARDS_PER_COMPANY = 20

_TRUE_CUSTOMERS = f"""
    cards as (
        select contact_id as card_id, person_id, company_id
        from truth.contacts
        where not is_gone and person_id is not null
    ),

    companies as (
        select company_id
        from cards
        where company_id is not null
        group by company_id
        having count(*) <= {_CARDS_PER_COMPANY}
    ),

    company_people as (
        select cards.person_id, min(cards.company_id) as company_id
        from cards
        semi join companies on cards.company_id = companies.company_id
        group by cards.person_id
    ),

    people as (
        select distinct
            cards.person_id,
            coalesce('company ' || company_people.company_id, 'person ' || cards.person_id)
                as true_customer
        from cards
        left join company_people on cards.person_id = company_people.person_id
    )
"""

_RECORDS = f"""
    with {_TRUE_CUSTOMERS},

    shown_deals as (
        select client_id, click_id
        from truth.deals
        where not is_deleted and not is_gone and not is_waiting
    ),

    named_browsers as (
        select client_id from shown_deals where client_id is not null
        union
        select min(visits.client_id)
        from truth.visits as visits
        semi join shown_deals on visits.click_id = shown_deals.click_id
        group by visits.click_id
        having min(visits.client_id) = max(visits.client_id)
    ),

    browsers as (
        select visits.client_id, min(visits.person_id) as person_id
        from truth.visits as visits
        semi join named_browsers on visits.client_id = named_browsers.client_id
        where visits.person_id is not null
        group by visits.client_id
        having count(distinct visits.person_id) = 1
    ),

    records as (
        select 'card ' || card_id as record, person_id, 'person' as kind, card_id as id from cards
        union all
        select 'browser ' || client_id, person_id, 'browser', client_id from browsers
    ),

    judged as (
        select
            records.record,
            people.true_customer,
            identities.customer_key as said_customer
        from records
        inner join people on records.person_id = people.person_id
        left join marts.dim_identities as identities
            on records.kind = identities.identity_kind and records.id = identities.identity_id
    )
"""

_PAIRS = (
    _RECORDS
    + """
    select one.record || ' = ' || other.record
    from judged as one
    inner join judged as other on one.{column} = other.{column} and one.record < other.record
"""
)
TRUE_PAIRS = _PAIRS.format(column="true_customer")
SAID_PAIRS = _PAIRS.format(column="said_customer")
# Peers join a browser to the card whose deal names it, and never card to card.
PAIRS_OF_CARDS = """
    select distinct 'browser ' || client_id || ' = card ' || main_contact_id
    from (
        select ym_client_id as client_id, main_contact_id
        from staging.stg_amocrm__leads
        where ym_client_id is not null and main_contact_id is not null
    )
"""
_LEADS = {"staging.stg_amocrm__leads": ("ym_client_id", "main_contact_id")}
_NEEDS = {"marts.dim_identities": ("identity_kind", "identity_id", "customer_key")}

MEASURES = (
    Measure(
        truth_id="person_identity",
        measure_id="same_customer",
        title="cards and browsers of one customer",
        kind="found",
        true=TRUE_PAIRS,
        ours=Way(SAID_PAIRS, _NEEDS),
        naive=Way(PAIRS_OF_CARDS, _LEADS),
        naive_title="the browser that stands on the card of the deal",
        naive_source="one client id per card, no joining of cards [K]",
    ),
)

_VISITS = f"""
    with {_TRUE_CUSTOMERS},

    known_by as (
        -- A customer of the marts is known by the true one most of whose cards it holds.
        select identities.customer_key, people.true_customer
        from marts.dim_identities as identities
        inner join cards on identities.identity_id = cards.card_id
        inner join people on cards.person_id = people.person_id
        where identities.identity_kind = 'person'
        group by identities.customer_key, people.true_customer
        qualify row_number() over (
            partition by identities.customer_key
            order by count(*) desc, people.true_customer
        ) = 1
    ),

    touched as (
        select
            visits.client_id,
            touches.customer_key,
            people.true_customer
        from truth.visits as visits
        inner join marts.fct_touches as touches
            on regexp_extract(touches.touch_key, '[^-:]+$') = visits.visit_id
        left join people on visits.person_id = people.person_id
        where touches.touch_source = 'visit'
    ),

    judged as (
        select
            touched.customer_key,
            touched.true_customer is not null as has_card,
            known_by.customer_key is not null as is_right,
            touched.client_id in (
                select identity_id from marts.dim_identities where identity_kind = 'browser'
            ) as is_in_known_browser
        from touched
        left join known_by
            on
                touched.customer_key = known_by.customer_key
                and touched.true_customer = known_by.true_customer
    )

    select
        count(*) filter (where customer_key like 'person:%' or customer_key like 'company:%'),
        count(*) filter (
            where
            (customer_key like 'person:%' or customer_key like 'company:%') and not is_right
        ),
        count(*) filter (where has_card),
        count(*) filter (where has_card and is_in_known_browser),
        count(*) filter (where has_card and is_in_known_browser and not is_right),
        count(*) filter (where is_right)
    from judged
"""


@dataclass(frozen=True)
class MergeRates:
    """How often identity is wrong, in pairs of records and in visits.

    Attributes:
        true_pairs: Pairs of records of one customer.
        said_pairs: Pairs the marts give one customer.
        right_pairs: Pairs that are both.
        given_visits: Visits the marts give to a person or company.
        stranger_visits: Those of them that somebody else made.
        person_visits: Visits of people who have a card.
        known_visits: Those of them made in a browser that the marts know.
        lost_visits: Those of these that went to nobody or somebody else.
        right_visits: Visits given to the one who made them.
    """

    true_pairs: int
    said_pairs: int
    right_pairs: int
    given_visits: int
    stranger_visits: int
    person_visits: int
    known_visits: int
    lost_visits: int
    right_visits: int

    @property
    def over_merge_ratio(self) -> float:
        """Return the share of joined pairs that are two customers."""
        return (self.said_pairs - self.right_pairs) / self.said_pairs if self.said_pairs else 0.0

    @property
    def under_merge_ratio(self) -> float:
        """Return the share of pairs of one customer that stand apart."""
        return (self.true_pairs - self.right_pairs) / self.true_pairs if self.true_pairs else 0.0

    @property
    def stranger_visit_ratio(self) -> float:
        """Return the share of given visits that somebody else made."""
        return self.stranger_visits / self.given_visits if self.given_visits else 0.0

    @property
    def lost_visit_ratio(self) -> float:
        """Return the share of visits in known browsers that went to nobody or somebody else."""
        return self.lost_visits / self.known_visits if self.known_visits else 0.0

    def lines(self) -> list[str]:
        """Return the rates in words."""
        return [
            f"over-merged: {self.over_merge_ratio:.2%} of {self.said_pairs} joined pairs "
            "of cards and browsers",
            f"under-merged: {self.under_merge_ratio:.2%} of {self.true_pairs} pairs that are "
            "one customer",
            f"visits given to a stranger: {self.stranger_visit_ratio:.2%} of {self.given_visits}",
            f"visits lost in known browsers: {self.lost_visit_ratio:.2%} of {self.known_visits}",
            f"visits of people with a card that found them: {self.right_visits} "
            f"of {self.person_visits}",
        ]


def merge_rates(connection: duckdb.DuckDBPyConnection) -> MergeRates:
    """Compare who the marts say is who with who is who.

    Args:
        connection: It sees the schemas `marts` and `truth`, as `companies.opened` shows them.
    """
    true = {pair for (pair,) in connection.execute(TRUE_PAIRS).fetchall()}
    said = {pair for (pair,) in connection.execute(SAID_PAIRS).fetchall()}
    visits = connection.execute(_VISITS).fetchone()
    assert visits is not None, "an aggregate has one row"
    return MergeRates(len(true), len(said), len(true & said), *visits)
