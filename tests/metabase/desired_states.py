"""Desired states made by hand, small enough to read."""

from __future__ import annotations

from dataclasses import replace

from orchestration.lib.metabase.desired import (
    DesiredCard,
    DesiredDashboard,
    DesiredDashcard,
    DesiredField,
    DesiredFieldMetadata,
    DesiredParameter,
    DesiredState,
    DesiredTab,
    DesiredTableMetadata,
    DesiredTag,
)

CHANNEL = DesiredField("dim_deals", "channel")
CHANNEL_TAG = DesiredTag("channel", "Channel", "dimension", CHANNEL, "string/=")
PERIOD_TAG = DesiredTag(
    "period",
    "Period",
    "dimension",
    DesiredField("dim_deals", "created_date"),
    "date/all-options",
)

CAME = DesiredCard(
    key="owner/came",
    name="Came",
    description="People with a lead.",
    sql=(
        "select channel, count(*) as deal_count\nfrom marts.dim_deals\n"
        "where true [[and {{channel}}]] [[and {{period}}]]\ngroup by channel\norder by channel"
    ),
    tags=(CHANNEL_TAG, PERIOD_TAG),
    display="bar",
    settings={
        "graph.dimensions": ["channel"],
        "graph.metrics": ["deal_count"],
        "column_settings": {'["name","deal_count"]': {"column_title": "Deals", "decimals": 0}},
    },
    columns=("channel", "deal_count"),
    may_be_empty=False,
)
TOTAL = DesiredCard(
    key="owner/total",
    name="Total",
    description=None,
    sql=(
        "select sum(deal_amount) as deal_amount\nfrom marts.dim_deals\n"
        "where true [[and {{channel}}]] [[and {{period}}]]"
    ),
    tags=(CHANNEL_TAG, PERIOD_TAG),
    display="scalar",
    settings={"scalar.field": "deal_amount"},
    columns=("deal_amount",),
    may_be_empty=False,
)
LIST = DesiredCard(
    key="deals/list",
    name="Deals",
    description="Every deal.",
    sql="select deal_key, channel, deal_amount from marts.dim_deals where true [[and {{channel}}]]",
    tags=(CHANNEL_TAG,),
    display="table",
    settings={
        "table.columns": [
            {"name": name, "enabled": True} for name in ("deal_key", "channel", "deal_amount")
        ]
    },
    columns=("deal_key", "channel", "deal_amount"),
    may_be_empty=True,
)

CHANNEL_PARAMETER = DesiredParameter("channel", "Channel", "channel", "string/=")
PERIOD_PARAMETER = DesiredParameter(
    "period", "Period", "period", "date/all-options", is_multi_select=False
)

OWNER = DesiredDashboard(
    key="owner",
    name="Monday",
    description="What the owner looks at.",
    parameters=(CHANNEL_PARAMETER, PERIOD_PARAMETER),
    tabs=(DesiredTab("now", "Now"), DesiredTab("later", "Later")),
    dashcards=(
        DesiredDashcard(
            key="heading",
            card_key=None,
            tab_key="now",
            row=0,
            column=0,
            width=24,
            height=1,
            settings={
                "virtual_card": {
                    "name": None,
                    "display": "heading",
                    "visualization_settings": {},
                    "dataset_query": {},
                    "archived": False,
                },
                "text": "This week",
            },
        ),
        DesiredDashcard(
            key="came",
            card_key="owner/came",
            tab_key="now",
            row=1,
            column=0,
            width=12,
            height=6,
            settings={
                "click_behavior": {
                    "type": "link",
                    "linkType": "dashboard",
                    "targetId": {"$dashboard": "deals"},
                    "tabId": {"$dashboard": "deals", "$tab": "all"},
                    "parameterMapping": {
                        "channel": {
                            "id": "channel",
                            "source": {"type": "column", "id": "channel", "name": "Channel"},
                            "target": {"type": "parameter", "id": "channel"},
                        }
                    },
                }
            },
            mappings=(("channel", "channel"), ("period", "period")),
        ),
        DesiredDashcard(
            key="total",
            card_key="owner/total",
            tab_key="later",
            row=0,
            column=0,
            width=6,
            height=3,
            mappings=(("channel", "channel"), ("period", "period")),
        ),
    ),
)
DEALS = DesiredDashboard(
    key="deals",
    name="Deals",
    description=None,
    parameters=(CHANNEL_PARAMETER,),
    tabs=(DesiredTab("all", "All"), DesiredTab("more", "More")),
    dashcards=(
        DesiredDashcard(
            key="list",
            card_key="deals/list",
            tab_key="all",
            row=0,
            column=0,
            width=24,
            height=9,
            mappings=(("channel", "channel"),),
        ),
        DesiredDashcard(
            key="again",
            card_key="owner/total",
            tab_key="more",
            row=0,
            column=0,
            width=6,
            height=3,
            mappings=(("channel", "channel"),),
        ),
    ),
)

STATE = DesiredState(
    locale="en",
    collection_name="Voronka",
    collection_description="Written by Voronka.",
    dashboards=(OWNER, DEALS),
    cards=(CAME, TOTAL, LIST),
    tables=(
        DesiredTableMetadata("dim_deals", "Deals", "One row per deal."),
        DesiredTableMetadata("dim_channels", "Channels", None, is_hidden=True),
    ),
    fields=(
        DesiredFieldMetadata("dim_deals", "deal_key", "Deal", "Its key.", "type/PK"),
        DesiredFieldMetadata(
            "dim_deals",
            "channel",
            "Channel",
            None,
            "type/FK",
            DesiredField("dim_channels", "channel"),
        ),
        DesiredFieldMetadata("dim_deals", "deal_amount", "Amount", None, "type/Currency"),
        DesiredFieldMetadata("dim_channels", "channel", "Channel", None, "type/PK"),
    ),
)

MARTS_SQL = """
create schema marts;
create table marts.dim_channels as select * from (values ('ads'), ('calls')) as t (channel);
create table marts.dim_deals as
select
    'demo:1:' || i as deal_key,
    case when i % 3 = 0 then 'calls' else 'ads' end as channel,
    cast(i * 100 as decimal(18, 2)) as deal_amount,
    date '2026-01-01' + cast(i as integer) as created_date
from range(1, 31) as r (i);
"""


def with_card(state: DesiredState, key: str, **changes: object) -> DesiredState:
    """Return a state in which one card differs."""
    return replace(
        state,
        cards=tuple(
            replace(card, **changes) if card.key == key else card  # type: ignore[arg-type]
            for card in state.cards
        ),
    )


def with_dashboard(state: DesiredState, key: str, **changes: object) -> DesiredState:
    """Return a state in which one dashboard differs."""
    return replace(
        state,
        dashboards=tuple(
            replace(one, **changes) if one.key == key else one  # type: ignore[arg-type]
            for one in state.dashboards
        ),
    )


def with_dashcard(state: DesiredState, dashboard: str, key: str, **changes: object) -> DesiredState:
    """Return a state in which one place differs."""
    found = next(one for one in state.dashboards if one.key == dashboard)
    places = tuple(
        replace(one, **changes) if one.key == key else one  # type: ignore[arg-type]
        for one in found.dashcards
    )
    return with_dashboard(state, dashboard, dashcards=places)
