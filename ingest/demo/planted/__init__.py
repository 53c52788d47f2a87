"""Planted truths: known faults of a simulated firm, each with its size, and innocent look-alikes.

Flow: `DemoCompany.world()` -> `plant(tables, truths, streams)` -> the tables as the firm's systems
    hold them, and beside them `TruthTables`, which the pipeline never reads. The world is put
    right first (`baseline`), so that nothing is wrong in it but what was planted; with a truth's
    size at 0 it does not occur.

Example:
    >>> planted = DemoCompany(leads=2000, truths=Truths().without("never_called")).planted()
    >>> planted.truth.items.schema.names[:3]
    ['truth_id', 'item_type', 'item_id']
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.demo.planted import look_alikes, outcomes, records_kept, reps, simulation, stages
from ingest.demo.planted.baseline import fit_reasons, put_right, withdraw_documents
from ingest.demo.planted.draft import Draft
from ingest.demo.planted.plan import Plan
from ingest.demo.planted.truth_tables import TruthTables
from ingest.demo.planted.truths import Truths
from ingest.demo.randomness import Streams
from ingest.demo.tables import CompanyTables


def _put_right_again(plan: Plan) -> None:
    """Let documents and reasons fit what has become of the deals."""
    withdraw_documents(plan.draft)
    fit_reasons(plan.draft, plan.rng("reasons_again"))


# Later ones build on what earlier ones left: what becomes of a request before how its card tells
# it, and that before how the feeds tell the card.
_PLANTERS = (
    outcomes.waste_campaign,
    outcomes.work_hypothesis,
    outcomes.never_call,
    outcomes.hand_over_in_vain,
    outcomes.abandon,
    outcomes.answer_slowly,
    _put_right_again,
    reps.plant_star,
    records_kept.qualify,
    look_alikes.plant_look_alikes,
    stages.record_late,
    stages.declare_phantoms,
    stages.hide_stages,
    stages.clean_up,
    stages.contradict_reasons,
    records_kept.leave_unpaid,
    records_kept.assist,
    outcomes.record_waste,
    outcomes.record_yields,
    simulation.record_hypotheses,
    reps.record_regression,
    look_alikes.mark_look_alikes,
    records_kept.record_assists,
    simulation.record_people,
    simulation.record_channels,
    records_kept.go_stale,
    records_kept.lose_events,
    records_kept.deliver_twice,
)


@dataclass(frozen=True)
class PlantedCompany:
    """A firm with its faults, and what is true of it."""

    tables: CompanyTables
    truth: TruthTables


def plant(tables: CompanyTables, truths: Truths, streams: Streams) -> PlantedCompany:
    """Return a firm with these truths planted in it.

    Args:
        tables: The world in which everybody works well.
        truths: The size of each truth; 0 is off.
        streams: The firm's random streams; equal seeds give equal tables, byte for byte.
    """
    draft = Draft(tables)
    put_right(draft, streams)
    plan = Plan(draft, truths, streams)
    for planter in _PLANTERS:
        planter(plan)
    return PlantedCompany(tables=draft.tables(), truth=plan.record.tables())


__all__ = ["PlantedCompany", "TruthTables", "Truths", "plant"]
