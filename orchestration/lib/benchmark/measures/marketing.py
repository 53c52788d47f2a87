"""Channels and what is spent on them."""

from orchestration.lib.benchmark.measure import Measure, Way
from orchestration.lib.benchmark.measures.needs import LEADS

_CREDITS = (
    "deal_key",
    "outcome",
    "attribution_model",
    "channel",
    "campaign_key",
    "credit_weight",
    "credit_amount",
)
_ECONOMICS = (
    "attribution_model",
    "channel",
    "campaign_key",
    "spend_amount",
    "won_weight",
    "won_amount",
)

# The UTM set of the CRM card alone, read by the company's own channel map.
_CARD_CHANNELS = """
    select
        leads.record_id as deal_id,
        leads.price,
        leads.status_id,
        (
            select channel_map.channel
            from staging.stg_company__channel_map as channel_map
            where
                lower(coalesce(leads.utm_source, '')) like replace(utm_source, '*', '%')
                and lower(coalesce(leads.utm_medium, '')) like replace(utm_medium, '*', '%')
                and declared_channel = '*'
                and coalesce(leads.utm_source, leads.utm_medium) is not null
            order by channel_map.priority
            limit 1
        ) as channel
    from staging.stg_amocrm__leads as leads
    where not coalesce(leads.is_deleted, false)
"""
_CARD_NEEDS = {
    **LEADS,
    "staging.stg_company__channel_map": (
        "utm_source",
        "utm_medium",
        "declared_channel",
        "channel",
        "priority",
    ),
}
_SPEND_NOW = """
    from truth.ad_spend, truth.clock
    where known_from_at <= now_at and coalesce(known_to_at > now_at, true)
"""
_LAST_DAYS = "(select now_at::date - 14 from truth.clock)"

MEASURES = (
    Measure(
        truth_id="channel",
        measure_id="deal_channel",
        title="channel a new request came through",
        kind="label",
        true="""
            select deal_id, channel
            from truth.deals
            where kind = 'new' and not is_deleted and not is_gone
        """,
        ours=Way(
            "select deal_id, channel from marts.dim_deals",
            {"marts.dim_deals": ("deal_id", "channel")},
        ),
        naive=Way(f"select deal_id, channel from ({_CARD_CHANNELS})", _CARD_NEEDS),
        naive_title="the UTM set that stands on the card",
        naive_source="UTM of a card is last-write; complaint 18, definitions 17",
    ),
    Measure(
        truth_id="channel",
        measure_id="channel_sold",
        title="money sold, by channel of new clients",
        kind="breakdown",
        true="""
            select channel, sum(amount), count(*)
            from truth.deals
            where kind = 'new' and outcome = 'won' and not is_deleted and not is_gone
            group by all
        """,
        ours=Way(
            """
            select channel, sum(credit_amount)
            from marts.fct_attribution_credits
            where
                outcome = 'won'
                and attribution_model = 'last_non_direct'
                and deal_key in (
                    select deals.deal_key from marts.dim_deals as deals where deal_kind = 'new'
                )
            group by all
            """,
            {
                "marts.fct_attribution_credits": _CREDITS,
                "marts.dim_deals": ("deal_key", "deal_kind"),
            },
        ),
        naive=Way(
            f"""
            select cards.channel, sum(cards.price)
            from ({_CARD_CHANNELS}) as cards
            inner join truth.deals on cards.deal_id = deals.deal_id and deals.kind = 'new'
            where cards.status_id = '142' and cards.channel is not null
            group by all
            """,
            _CARD_NEEDS,
        ),
        naive_title="last touch on the card, sales without a touch dropped",
        naive_source="conversions inner join paths, dbt-snowplow-attribution [O6]",
    ),
    Measure(
        truth_id="assisting_channel",
        measure_id="assisting_channel",
        title="channels that only assist",
        kind="found",
        true="""
            select item_id
            from truth.items
            where truth_id = 'assisting_channel' and is_planted
        """,
        ours=Way(
            # In the paths of at least three sales, and hardly ever the one that closes.
            """
            select channel
            from marts.fct_attribution_credits
            where outcome = 'won' and channel <> 'unattributed'
            group by all
            having
                count(distinct deal_key) filter (
                    attribution_model = 'linear' and credit_weight > 0
                ) >= 3
                and coalesce(sum(credit_weight) filter (attribution_model = 'last'), 0)
                <= 0.2 * coalesce(
                    sum(credit_weight) filter (attribution_model = 'linear'), 0
                )
            """,
            {"marts.fct_attribution_credits": _CREDITS},
            # With one touch a deal all models agree, and no channel can be seen to assist.
            not_ready="deals with several touches in marts.fct_attribution_credits",
            ready_when="""
                select count(*) > 0
                from marts.fct_attribution_credits
                where attribution_model = 'linear' and credit_weight between 0.01 and 0.99
            """,
        ),
        naive=Way(
            """
            select channels.channel
            from marts.dim_channels as channels
            where
                channels.channel <> 'unattributed'
                and not exists (
                    select 1
                    from marts.fct_attribution_credits as credits
                    where
                        credits.channel = channels.channel
                        and credits.outcome = 'won'
                        and credits.attribution_model = 'last_non_direct'
                )
            """,
            {
                "marts.dim_channels": ("channel",),
                "marts.fct_attribution_credits": _CREDITS,
            },
        ),
        naive_title="no sale by last non-direct click",
        naive_source="default model of Calltouch [R4] and Metrica [R9]; complaint 18",
        builds="visits of several channels before a deal in fct_touches",
    ),
    Measure(
        truth_id="wasted_campaign",
        measure_id="wasted_campaign",
        title="campaigns that spend and sell nothing",
        kind="found",
        true="""
            select item_id
            from truth.items
            where truth_id = 'wasted_campaign' and is_planted
        """,
        ours=Way(
            # Nobody's last step before a sale and hardly anybody's step, although the money would
            # have bought three sales at the company's price.
            """
            with campaigns as (
                select
                    campaign_key,
                    sum(spend_amount) filter (attribution_model = 'linear') as spend_amount,
                    sum(won_weight) filter (attribution_model = 'linear') as won_weight,
                    sum(won_weight) filter (attribution_model = 'last_non_direct')
                        as last_won_weight
                from marts.rpt_channel_economics_monthly
                where campaign_key is not null
                group by all
            ),

            priced as (
                select
                    *,
                    spend_amount * sum(won_weight) over () / nullif(sum(spend_amount) over (), 0)
                        as expected_won_weight
                from campaigns
                where spend_amount > 0
            )

            select dim_campaigns.campaign_id
            from priced
            inner join marts.dim_campaigns on priced.campaign_key = dim_campaigns.campaign_key
            where
                priced.last_won_weight = 0
                and priced.expected_won_weight >= 3
                and priced.won_weight <= 0.05 * priced.expected_won_weight
            """,
            {
                "marts.rpt_channel_economics_monthly": _ECONOMICS,
                "marts.dim_campaigns": ("campaign_key", "campaign_id"),
            },
        ),
        naive=Way(
            """
            with spend as (
                select campaign_key, sum(spend_amount) as spend_amount
                from marts.fct_ad_spend_daily
                group by all
            ),

            sales as (
                select campaign_key, sum(credit_amount) as won_amount
                from marts.fct_attribution_credits
                where outcome = 'won' and attribution_model = 'last'
                group by all
            )

            select dim_campaigns.campaign_id
            from spend
            inner join sales on spend.campaign_key = sales.campaign_key
            inner join marts.dim_campaigns on spend.campaign_key = dim_campaigns.campaign_key
            where sales.won_amount < spend.spend_amount
            """,
            {
                "marts.fct_ad_spend_daily": ("campaign_key", "spend_amount"),
                "marts.fct_attribution_credits": _CREDITS,
                "marts.dim_campaigns": ("campaign_key", "campaign_id"),
            },
        ),
        naive_title="return under 1, spend inner-joined to sales",
        naive_source="ROAS of dbt-snowplow-attribution: what sold nothing disappears [O6]",
    ),
    Measure(
        truth_id="ad_spend",
        measure_id="spend_in_channels",
        title="money spent, in the channel report",
        kind="number",
        true=f"select sum(borne_amount), count(*) {_SPEND_NOW}",
        ours=Way(
            """
            select sum(spend_amount)
            from marts.rpt_channel_economics_monthly
            where attribution_model = 'last'
            """,
            {"marts.rpt_channel_economics_monthly": _ECONOMICS},
        ),
        naive=Way(
            """
            select sum(spend_amount)
            from marts.fct_ad_spend_daily as spend
            where
                exists (
                    select 1
                    from marts.fct_attribution_credits as credits
                    where
                        credits.campaign_key = spend.campaign_key
                        and credits.outcome = 'won'
                        and credits.attribution_model = 'last'
                        and credits.outcome_date
                        between spend.spend_date and spend.spend_date + 90
                )
            """,
            {
                "marts.fct_ad_spend_daily": ("campaign_key", "spend_amount", "spend_date"),
                "marts.fct_attribution_credits": (*_CREDITS, "outcome_date"),
            },
        ),
        naive_title="spend inner-joined to sales of the next 90 days",
        naive_source="dbt-snowplow-attribution, hard-coded 90 days [O6]",
    ),
    Measure(
        truth_id="ad_spend",
        measure_id="restated_spend",
        title="spend of the last 14 days, by day",
        kind="breakdown",
        true=f"""
            select spend_date, sum(borne_amount), count(*)
            {_SPEND_NOW} and spend_date >= {_LAST_DAYS}
            group by all
        """,
        ours=Way(
            f"""
            select spend_date, sum(spend_amount)
            from marts.fct_ad_spend_daily
            where spend_date >= {_LAST_DAYS}
            group by all
            """,
            {"marts.fct_ad_spend_daily": ("spend_date", "spend_amount")},
        ),
        naive=Way(
            # What a pull at eight each morning (Moscow) was told, and never asked again.
            f"""
            select spend_date, sum(borne_amount)
            from truth.ad_spend, truth.clock
            where
                spend_date >= {_LAST_DAYS}
                and least(now_at, spend_date + interval 29 hour) >= known_from_at
                and coalesce(
                    least(now_at, spend_date + interval 29 hour) < known_to_at, true
                )
            group by all
            """
        ),
        naive_title="each day pulled once, the morning after",
        naive_source="past numbers change silently: complaint 13, OWOX re-reads 21 days [B7]",
    ),
    Measure(
        truth_id="ad_spend",
        measure_id="spend_with_vat",
        title="money spent, VAT borne included",
        kind="number",
        true=f"select sum(borne_amount), count(*) {_SPEND_NOW}",
        ours=Way(
            "select sum(spend_amount) from marts.fct_ad_spend_daily",
            {"marts.fct_ad_spend_daily": ("spend_amount",)},
        ),
        naive=Way(
            "select sum(spend_native_amount) from marts.fct_ad_spend_daily",
            {"marts.fct_ad_spend_daily": ("spend_native_amount",)},
        ),
        naive_title="cost as the platforms report it",
        naive_source="union of platform spend, dbt_ad_reporting [O9]; VAT: definitions 8",
    ),
)
