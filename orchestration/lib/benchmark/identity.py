"""Whether the marts know who is who: persons wrongly joined and wrongly kept apart.

A record is a contact card, or a browser that some deal names as the CRM shows it (by its client id,
or by an ad click made in it): a browser that no deal names cannot be found by anybody, and one of
two persons is nobody's identity. Two records are truly one customer if they are one person's, or if
their persons stand in one company: `dim_customers` is a person or a company. Rates are of pairs of
records, as such clusters are judged everywhere; rates of visits say what mistakes do to touches.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from orchestration.lib.benchmark.measure import Measure, Way

# A company of more cards than this is a placeholder to the models.
_CARDS_PER_COMPANY = 20

_RECORDS = f"""
    with cards as (
        select
            identities.identity_id as card_id,
            any_value(people.value)::bigint as person_id,
            any_value(identities.company_key) as company_key
        from marts.dim_identities as identities
        inner join truth.items as people
            on
                people.truth_id = 'person_identity'
                and people.label = 'contact'
                and people.item_id = identities.identity_id
        where identities.identity_kind = 'person'
        group by identities.identity_id
    ),

    companies as (
        select company_key
        from cards
        where company_key is not null
        group by company_key
        having count(*) <= {_CARDS_PER_COMPANY}
    ),

    company_people as (
        select cards.person_id, min(cards.company_key) as company_key
        from cards
        semi join companies on cards.company_key = companies.company_key
        group by cards.person_id
    ),

    named_browsers as (
        select ym_client_id as client_id
        from staging.stg_amocrm__leads
        where ym_client_id is not null and not is_deleted
        union
        select min(visits.client_id)
        from truth.visits as visits
        semi join staging.stg_amocrm__leads as leads
            on visits.click_id = leads.click_id and not leads.is_deleted
        group by visits.click_id
        having min(visits.client_id) = max(visits.client_id)
    ),

    browsers as (
        select people.item_id as client_id, min(people.value)::bigint as person_id
        from truth.items as people
        semi join named_browsers on people.item_id = named_browsers.client_id
        semi join cards on people.value::bigint = cards.person_id
        where people.truth_id = 'person_identity' and people.label = 'client_id'
        group by people.item_id
        having count(distinct people.value) = 1
    ),

    records as (
        select 'card ' || card_id as record, person_id, 'person' as kind, card_id as id from cards
        union all
        select 'browser ' || client_id, person_id, 'browser', client_id from browsers
    ),

    judged as (
        select
            records.record,
            coalesce(company_people.company_key, records.person_id::varchar) as true_customer,
            identities.customer_key as said_customer
        from records
        left join company_people on records.person_id = company_people.person_id
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
_LEADS = {
    "staging.stg_amocrm__leads": ("ym_client_id", "click_id", "main_contact_id", "is_deleted")
}
_NEEDS = {
    "marts.dim_identities": ("identity_kind", "identity_id", "company_key", "customer_key"),
    **_LEADS,
}

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

_VISITS = """
    with people as (
        -- A customer is known by the person most of whose cards it holds.
        select identities.customer_key, people.value::bigint as person_id
        from marts.dim_identities as identities
        inner join truth.items as people
            on
                people.truth_id = 'person_identity'
                and people.label = 'contact'
                and people.item_id = identities.identity_id
        where identities.identity_kind = 'person'
        group by identities.customer_key, people.value
    ),

    touched as (
        select
            visits.person_id::bigint as person_id,
            visits.client_id,
            touches.customer_key
        from truth.visits as visits
        inner join marts.fct_touches as touches
            on regexp_extract(touches.touch_key, '[^-:]+$') = visits.visit_id
        where touches.touch_source = 'visit'
    ),

    judged as (
        select
            touched.customer_key,
            touched.person_id in (select people.person_id from people) as has_card,
            people.person_id is not null as is_right,
            touched.client_id in (
                select identity_id from marts.dim_identities where identity_kind = 'browser'
            ) as is_in_known_browser
        from touched
        left join people
            on
                touched.customer_key = people.customer_key
                and touched.person_id = people.person_id
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
