"""The star among equals, and a rep who looks cured by a training."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.demo.arrow import compute
from ingest.demo.planted.contacting import ordinary, users_without_telephony
from ingest.demo.planted.draft import NULL, Draft, local_day
from ingest.demo.planted.plan import Plan
from ingest.demo.randomness import DAY, Flags, Ints
from ingest.demo.sales import pick_some

# Deals of this age are mostly decided.
_DECIDED_DAYS = 60
_LEAST_REQUESTS = 20
_AUTHORS = {
    "stage_changes": ("changed_by",),
    "amount_changes": ("changed_by",),
    "calls": ("user_id",),
    "messages": ("author_id",),
    "notes": ("created_by",),
    "documents": ("sent_by",),
    "tasks": ("user_id", "created_by"),
    "task_deadline_changes": ("changed_by",),
    "invoices": ("created_by",),
}


def reassign(draft: Draft, deal: Ints, new_user: Ints) -> None:
    """Let deals have been another rep's from the first day: every trace of the old one changes."""
    old = draft.deals["responsible_user_id"].copy()
    target = draft.per_deal(deal, new_user)
    changed = target != NULL
    for name, columns in _AUTHORS.items():
        frame = draft[name]
        owner = draft.deal_of(name)
        safe = np.maximum(owner, 0)
        for column in columns:
            mine = (owner >= 0) & changed[safe] & (frame[column] == old[safe])
            frame[column] = np.where(mine, target[safe], frame[column])
            if name == "calls" and mine.any():
                user = compute.cast(pa.array(frame["user_id"]), pa.string())
                frame.put("responsible_text", mine, user)
    deals, contacts = draft.deals, draft["contacts"]
    typed = changed & (deals["created_by"] == old)
    deals["created_by"] = np.where(typed, target, deals["created_by"])
    deals["responsible_user_id"] = np.where(changed, target, old)
    order = np.argsort(contacts["contact_id"], kind="stable")
    row = order[
        np.minimum(
            np.searchsorted(contacts["contact_id"][order], deals["contact_id"][deal]),
            len(order) - 1,
        )
    ]
    for column in ("responsible_user_id", "created_by"):
        values = contacts[column].copy()
        values[row] = np.where(values[row] == old[deal], target[deal], values[row])
        contacts[column] = values


def _steady_reps(draft: Draft) -> Ints:
    """Return reps with telephony who worked in the same seat all the time."""
    reps = np.unique(draft.deals["responsible_user_id"])
    given = draft["responsible_changes"]
    moved = np.concatenate([given["from_user_id"], given["to_user_id"]])
    return reps[~np.isin(reps, moved) & ~np.isin(reps, users_without_telephony(draft))]


def _decided(draft: Draft) -> Flags:
    is_old: Flags = draft.deals["created_at"] < draft.now - _DECIDED_DAYS * DAY
    return ordinary(draft) & is_old


def plant_star(plan: Plan) -> None:
    """Exchange lost deals of one rep for won ones of the others, channel by channel.

    All work alike but one, and what the firm sells does not change.
    """
    times = plan.truths.star_sales_rep
    if not times:
        return
    draft = plan.draft
    rng = plan.rng("star_sales_rep")
    reps = _steady_reps(draft)
    decided = _decided(draft)
    owner = draft.deals["responsible_user_id"]
    if len(reps) < 2 or not decided.any():
        return
    star = int(reps[int(rng.integers(len(reps)))])
    plan.star = star
    won = draft.is_won() & decided
    mine, others = decided & (owner == star), decided & np.isin(owner, reps) & (owner != star)
    my_count, other_count = max(1, int(mine.sum())), max(1, int(others.sum()))
    my_won, other_won = int((won & mine).sum()), int((won & others).sum())
    # (my_won + x) / my_count = times * (other_won - x) / other_count
    wanted = (times * other_won / other_count - my_won / my_count) / (
        1 / my_count + times / other_count
    )
    channels = draft.deals["channel"].dictionary_encode()
    code = np.array(compute.fill_null(channels.indices, -1).to_numpy(zero_copy_only=False))
    given: list[Ints] = []
    got: list[Ints] = []
    wanted = max(0, min(round(wanted), other_won, my_count - my_won))
    share = wanted / max(1, other_won)
    for channel in np.unique(code[others | mine]):
        here = code == channel
        sold = np.flatnonzero(others & won & here & ~plan.taken)
        unsold = np.flatnonzero(mine & ~won & here & ~plan.taken)
        count = min(round(share * int((others & won & here).sum())), len(sold), len(unsold))
        got.append(pick_some(rng, sold, count))
        given.append(pick_some(rng, unsold, count))
    taken, handed = np.concatenate(got), np.concatenate(given)
    rng.shuffle(handed)
    former = owner[taken].copy()
    reassign(
        draft, np.concatenate([taken, handed]), np.concatenate([np.full(len(taken), star), former])
    )
    owner = draft.deals["responsible_user_id"]
    mine, others = decided & (owner == star), decided & np.isin(owner, reps) & (owner != star)
    my_rate = (won & mine).sum() / max(1, mine.sum())
    other_rate = (won & others).sum() / max(1, others.sum())
    plan.record.items(
        "star_sales_rep",
        "sales_rep",
        [str(star)],
        value=[float(my_rate / other_rate) if other_rate else 0.0],
    )
    for parameter, value, unit in (
        ("win_ratio_of_star", my_rate, "won per deal older than 60 days"),
        ("win_ratio_of_others", other_rate, "won per deal older than 60 days"),
        ("times", my_rate / other_rate if other_rate else 0.0, "ratio"),
        ("exchanged", len(taken), "deals"),
    ):
        plan.record.size("star_sales_rep", parameter, value, unit)


def record_regression(plan: Plan) -> None:
    """Take down the worst rep of a month, who was trained and became ordinary by chance."""
    if not plan.truths.hypothesis_regression:
        return
    draft = plan.draft
    decided = _decided(draft)
    reps = _steady_reps(draft)
    reps = reps[reps != plan.star]
    first, _ = plan.span()
    period = (local_day(draft.deals["created_at"]) - local_day(np.array([first]))[0]) // 30
    owner = draft.deals["responsible_user_id"]
    won = draft.is_won()
    best: tuple[float, int, int, float, float, int, int] | None = None
    # The last month compared is old enough to be decided.
    months = (draft.now - _DECIDED_DAYS * DAY - first) // (30 * DAY) - 1
    for number in range(months):
        rates = []
        for rep in reps:
            before = decided & (owner == rep) & (period == number)
            after = decided & (owner == rep) & (period == number + 1)
            if before.sum() < _LEAST_REQUESTS or after.sum() < _LEAST_REQUESTS:
                continue
            sizes = int(before.sum()), int(after.sum())
            rates.append((float(won[before].mean()), float(won[after].mean()), int(rep), *sizes))
        if not rates:
            continue
        was, became, rep, before_n, after_n = min(rates)
        if best is None or became - was > best[0]:
            best = (became - was, number, rep, was, became, before_n, after_n)
    if best is None or best[0] <= 0:
        return
    _, number, rep, before_rate, after_rate, before_n, after_n = best
    starts = first + (number + 1) * 30 * DAY
    plan.record.items(
        "hypothesis_regression",
        "hypothesis",
        [f"training_of_{rep}"],
        moment_at=np.array([starts]),
        value=[0.0],
        label=f"sales_rep:{rep}",
    )
    for parameter, value, unit in (
        ("within", 30, "days on each side"),
        ("before", before_rate, f"won per deal, {before_n} deals"),
        ("after", after_rate, f"won per deal, {after_n} deals"),
        ("effect", 0.0, "true change"),
    ):
        plan.record.size("hypothesis_regression", parameter, value, unit)
