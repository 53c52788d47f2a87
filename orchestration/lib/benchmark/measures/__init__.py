"""Every measure of the benchmark, in the order it is printed."""

from orchestration.lib.benchmark import identity
from orchestration.lib.benchmark.measure import Measure
from orchestration.lib.benchmark.measures import (
    deals,
    funnel,
    hypotheses,
    look_alikes,
    marketing,
    money,
    sales,
    trust,
)

MEASURES: tuple[Measure, ...] = (
    *funnel.MEASURES,
    *deals.MEASURES,
    *identity.MEASURES,
    *marketing.MEASURES,
    *sales.MEASURES,
    *money.MEASURES,
    *hypotheses.MEASURES,
    *trust.MEASURES,
    *look_alikes.MEASURES,
)
