"""A histogram of seconds that counts in plain lists and is put into the library's words when somebody looks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gateway.telemetry.table import Metric

Series = tuple[str, ...]


class Durations(Collector):
    """The library's own takes two locks and seven calls for each observation, of which a request makes four. To be
    observed and looked at by one thread. `tidy` makes an unknown label tuple one of a closed set."""

    def __init__(self, metric: Metric, tidy: Callable[..., Series]) -> None:
        self._metric = metric
        self._tidy = tidy
        self._bounds = (*metric.buckets, float("inf"))
        self._cells: dict[Series, list[float]] = {}  # how many fell into each bucket, and last the sum of the seconds

        if not metric.labels:
            self._cell(())  # its one series is there from the beginning

    def observe(self, seconds: float, *raw: str) -> None:
        cell = self._cells.get(raw) or self._cell(raw)
        cell[bisect_left(self._bounds, seconds)] += 1
        cell[-1] += seconds

    def prime(self, tuples: Iterable[Series]) -> None:
        """Export these at zero."""
        for raw in tuples:
            self._cell(raw)

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """What the registry asks at the beginning."""
        yield HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What the registry asks at each scrape. Buckets are exposed as sums: each holds all that were faster."""
        for family in self.describe():
            for labels, cell in self._cells.items():
                names = map(floatToGoString, self._bounds)
                family.add_metric(labels, list(zip(names, accumulate(cell[:-1]), strict=True)), sum_value=cell[-1])
            yield family

    def _cell(self, raw: Series) -> list[float]:
        return self._cells.setdefault(self._tidy(*raw), [0.0] * (len(self._bounds) + 1))
