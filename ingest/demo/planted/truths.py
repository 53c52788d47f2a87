"""Which truths are planted in the simulated firm, and how large each is."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Truths:
    """One size per truth; 0 switches it off. All are on by default, each of a modest size.

    Attributes:
        late_recording: Share of the deals that reached the estimate whose cards were moved more
            than a working day after the event: on a Friday evening, or all at once at the close.
        phantom_stage: Share of the deals lost after the estimate whose cards entered a stage
            although nothing of it happened.
        hidden_stage: Share of the deals that went through the contract whose card never shows it
            although the contract was sent.
        bulk_cleanup: How many times a rep swept old cards into "lost" within a quarter of an hour.
        slow_first_response: By what share waiting until the next day lowers the chance to win, for
            requests that come on working days between 15 and 18 o'clock.
        never_called: Share of new requests nobody ever called or wrote to.
        abandoned_follow_up: Share of new requests left alone after one attempt in vain.
        contradicted_loss_reason: Share of the losses with a reason that the evidence denies.
        wasted_campaign: Spend of a campaign that sells nothing, as a multiple of what it would be.
        assisting_channel: Share of the site's requests whose people came first through a channel
            that never brings a request itself.
        non_target: Share of new requests that fail a criterion.
        handover_theatre: Share of new requests accepted and never worked.
        unpaid_invoice: Share of the final invoices, two months old or more, left unpaid.
        hypothesis_worked: Share of the measured appointments of one channel that a change brought.
        hypothesis_failed: 1: a change was made in one channel and moved nothing.
        hypothesis_regression: 1: the worst rep of a month was trained and got better by chance.
        stale_source: Days for which an advertising account has published nothing.
        lost_events: Share of the stage changes the event feed never shows.
        doubled_load: Days whose calls the telephony handed over twice.
        star_sales_rep: How many times as often as the others one rep wins.
        look_alikes: 1: innocent deals and gaps that look like the above.
    """

    late_recording: float = 0.10
    phantom_stage: float = 0.08
    hidden_stage: float = 0.06
    bulk_cleanup: float = 5
    slow_first_response: float = 0.45
    never_called: float = 0.03
    abandoned_follow_up: float = 0.04
    contradicted_loss_reason: float = 0.08
    wasted_campaign: float = 1.0
    assisting_channel: float = 0.15
    non_target: float = 0.18
    handover_theatre: float = 0.03
    unpaid_invoice: float = 0.07
    hypothesis_worked: float = 0.30
    hypothesis_failed: float = 1
    hypothesis_regression: float = 1
    stale_source: float = 4
    lost_events: float = 0.05
    doubled_load: float = 1
    star_sales_rep: float = 1.5
    look_alikes: float = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            size = getattr(self, field.name)
            if size is None:
                object.__setattr__(self, field.name, 0)
            elif size < 0:
                raise ValueError(f"the size of {field.name} is {size}; it cannot be negative")

    @classmethod
    def none(cls) -> Truths:
        """Return the firm's truths all switched off."""
        return cls(**{field.name: 0 for field in fields(cls)})

    def only(self, *names: str) -> Truths:
        """Return these truths at their sizes and all others off."""
        return replace(Truths.none(), **{name: getattr(self, name) for name in names})

    def without(self, *names: str) -> Truths:
        """Return these sizes with some truths switched off."""
        off: dict[str, Any] = dict.fromkeys(names, 0)
        return replace(self, **off)
