"""What the simulation knows of its own world: who is who, where they came from, what changed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.demo.arrow import compute
from ingest.demo.planted.baseline import MEASURING
from ingest.demo.planted.contacting import ordinary
from ingest.demo.planted.draft import NULL
from ingest.demo.planted.outcomes import (
    FAILED_CHANNEL,
    MEASURED_WITHIN_DAYS,
    WORKED_CHANNEL,
    hypothesis_start,
    measured_rows,
)
from ingest.demo.planted.plan import Plan
from ingest.demo.randomness import DAY

_FAILED_LATER_DAYS = 28


def record_hypotheses(plan: Plan) -> None:
    """Take down what was tried, since when, and what it did."""
    draft = plan.draft
    leads = ordinary(draft)
    rows = measured_rows(plan)
    at = np.where(rows >= 0, np.append(draft.moves["changed_at"], 0)[rows], NULL)
    created = draft.deals["created_at"]
    reached = (rows >= 0) & (at - created <= MEASURED_WITHIN_DAYS * DAY)
    ripe = leads & (created <= draft.now - MEASURED_WITHIN_DAYS * DAY)
    tried = (
        ("hypothesis_worked", "callback_at_once", WORKED_CHANNEL, 0, plan.truths.hypothesis_worked),
        (
            "hypothesis_failed",
            "new_greeting",
            FAILED_CHANNEL,
            _FAILED_LATER_DAYS,
            plan.truths.hypothesis_failed,
        ),
    )
    for truth_id, name, channel, later, size in tried:
        if not size:
            continue
        starts = hypothesis_start(plan, later)
        population = ripe & draft.deals.equals("channel", channel)
        before, after = population & (created < starts), population & (created >= starts)
        if not before.any() or not after.any():
            continue
        effect = float(size) if truth_id == "hypothesis_worked" else 0.0
        plan.record.items(
            truth_id,
            "hypothesis",
            [name],
            moment_at=np.array([starts]),
            value=[effect],
            label=f"channel:{channel}",
        )
        for parameter, value, unit in (
            ("metric_stage", MEASURING, "stage reached by a request"),
            ("within", MEASURED_WITHIN_DAYS, "days"),
            ("before", reached[before].mean(), f"share of requests, n = {before.sum()}"),
            ("after", reached[after].mean(), f"share of requests, n = {after.sum()}"),
            ("effect", effect, "share of later appointments due to the change"),
        ):
            plan.record.size(truth_id, parameter, value, unit)


def record_people(plan: Plan) -> None:
    """Take down whose every contact and every browser is."""
    contacts, visits = plan.draft["contacts"], plan.draft["visits"]
    known = contacts["person_id"] != NULL
    plan.record.items(
        "person_identity",
        "person",
        contacts["contact_id"][known],
        value=contacts["person_id"][known].astype(np.float64),
        label="contact",
    )
    asked = np.flatnonzero(visits["person_id"] != NULL)
    if not len(asked):
        return
    person = visits["person_id"][asked]
    browsers = visits["client_id"].take(pa.array(asked)).dictionary_encode()
    code = np.array(browsers.indices.to_numpy(), dtype=np.int64)
    _, first = np.unique(code * (int(person.max()) + 1) + person, return_index=True)
    first = np.sort(first)
    plan.record.items(
        "person_identity",
        "person",
        browsers.take(pa.array(first)).cast(pa.string()),
        value=person[first].astype(np.float64),
        label="client_id",
    )


def record_channels(plan: Plan) -> None:
    """Take down where every deal came from, and for how much it was sold."""
    deals = plan.draft.deals
    amount = plan.would_be_amount()
    rows = np.flatnonzero(compute.is_valid(deals["channel"]).to_numpy(zero_copy_only=False))
    plan.record.items(
        "deal_channel",
        "deal",
        deals["deal_id"][rows],
        moment_at=deals["created_at"][rows],
        amount=amount[rows],
        label=deals["channel"].take(pa.array(rows)),
    )
