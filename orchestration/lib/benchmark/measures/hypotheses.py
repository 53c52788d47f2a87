"""Hypotheses: what an experiment of the company really did."""

from orchestration.lib.benchmark.measure import Measure, Way

_VERDICTS = {"marts.rpt_hypotheses": ("hypothesis_id", "verdict")}
_BUILDS = "a register of hypotheses with verdicts: rpt_hypotheses"


def _hypothesis(truth_id: str, title: str, verdicts: str, flagged_when: str) -> Measure:
    """Return the measure of one kind of hypothesis.

    Args:
        truth_id: The planted truth.
        title: What is measured.
        verdicts: The verdicts that are right.
        flagged_when: What of the plain before and after makes the naive way say the same.
    """
    return Measure(
        truth_id=truth_id,
        measure_id=truth_id,
        title=title,
        kind="alarms" if truth_id != "hypothesis_worked" else "found",
        true=f"select item_id from truth.items where truth_id = '{truth_id}' and is_planted",
        ours=Way(
            f"select hypothesis_id from marts.rpt_hypotheses where verdict in ({verdicts})",
            _VERDICTS,
        ),
        naive=Way(
            f"""
            with unit_deals as (
                select
                    items.item_id,
                    deals.outcome = 'won' as is_won,
                    deals.created_at >= items.starts_at as is_after
                from (
                    select
                        *,
                        make_timestamp(moment_at * 1000000) as starts_at,
                        split_part(label, ':', 1) as unit,
                        split_part(label, ':', 2) as unit_id
                    from truth.items
                    where truth_id = '{truth_id}' and is_planted
                ) as items
                inner join marts.dim_deals as deals
                    on
                        case items.unit
                            when 'sales_rep'
                                then split_part(deals.sales_rep_key, ':', 3) = items.unit_id
                            when 'channel' then deals.channel = items.unit_id
                            else true
                        end
                        and deals.created_at between items.starts_at - interval 60 day
                        and items.starts_at + interval 60 day
            )

            select item_id
            from unit_deals
            group by item_id
            having
                avg(is_won::int) filter (is_after)
                {flagged_when}
                avg(is_won::int) filter (not is_after)
            """,
            {"marts.dim_deals": ("deal_id", "outcome", "sales_rep_key", "channel", "created_at")},
        ),
        naive_title="60 days after against 60 before",
        naive_source="plain before and after, the usual dashboard; [sim] in definitions 13, 16",
        builds=_BUILDS,
    )


MEASURES = (
    _hypothesis("hypothesis_worked", "the change that worked, found", "'supported'", ">"),
    _hypothesis(
        "hypothesis_failed", "the change that did nothing, called a success", "'supported'", ">"
    ),
    _hypothesis(
        "hypothesis_regression",
        "regression to the mean, called a success",
        "'supported'",
        ">",
    ),
)
