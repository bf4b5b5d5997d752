"""Topic-aware balanced sampling: clusters of queries, and batches of one cluster with margins of all sizes."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers

Floats = npt.NDArray[np.floating]

ROUNDS = 25
"""How often k-means moves its centres at most."""
BLOCK = 4096
"""Vectors whose distances to all centres are in memory at a time."""


def k_means(vectors: Floats, clusters: int, seed: int) -> tuple[Integers, Floats]:
    """Cluster vectors by Lloyd's algorithm, from `clusters` of them that are drawn by a seed.

    A cluster that loses its last vector goes on with the one that is farthest from its centre.

    Args:
        vectors: [n, d]
        clusters: k, at most n
        seed: of the draw

    Returns:
        the cluster of each vector, [n], and the centres, [k, d]
    """
    rng = np.random.default_rng([seed, 6])
    centres = vectors[np.sort(rng.choice(len(vectors), clusters, replace=False))]
    labels, _ = nearest(vectors, centres)
    for _ in range(ROUNDS):
        centres = _means(vectors, labels, centres)
        before = labels
        labels, distances = nearest(vectors, centres)
        if len(empty := np.setdiff1d(np.arange(clusters), labels)):
            labels[np.argsort(-distances, kind="stable")[: len(empty)]] = empty
        elif (labels == before).all():
            break
    return labels, centres


def nearest(vectors: Floats, centres: Floats) -> tuple[Integers, Floats]:
    """Return the nearest centre of each vector, [n], and its squared distance, [n]."""
    labels = np.empty(len(vectors), np.int64)
    distances = np.empty(len(vectors), centres.dtype)
    sizes = (centres**2).sum(axis=1)
    for at in range(0, len(vectors), BLOCK):
        part = vectors[at : at + BLOCK]
        apart = sizes - 2 * (part @ centres.T)
        labels[at : at + BLOCK] = apart.argmin(axis=1)
        distances[at : at + BLOCK] = apart.min(axis=1) + (part**2).sum(axis=1)
    return labels, distances


def _means(vectors: Floats, labels: Integers, centres: Floats) -> Floats:
    """Return the mean vector of each cluster; that of an empty one stays where it was."""
    order = np.argsort(labels, kind="stable")
    filled, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    means = centres.copy()
    means[filled] = np.add.reduceat(vectors[order], first, axis=0) / counts[:, None]
    return means


@dataclass(frozen=True)
class QueryTopics:
    """The cluster of each of some queries: their rows in the collection, ascending [q], labels [q], centres [k, d]."""

    queries: Integers
    labels: Integers
    centres: Floats

    @classmethod
    def one(cls, queries: Integers) -> "QueryTopics":
        """Return all queries as one cluster."""
        rows = np.unique(queries)
        return cls(rows, np.zeros(len(rows), np.int64), np.zeros((1, 1), np.float32))

    @cached_property
    def near(self) -> Integers:
        """The clusters of each cluster from the nearest, itself, to the farthest, [k, k]."""
        apart = ((self.centres**2).sum(axis=1) - 2 * (self.centres @ self.centres.T)).astype(np.float64)
        np.fill_diagonal(apart, -np.inf)
        near: Integers = apart.argsort(axis=1, kind="stable")
        return near


@dataclass(frozen=True)
class TopicGroups:
    """Examples by cluster, query and bin of margins.

    Attributes:
        topics: the clusters of the queries
        members: the examples, those of a query and bin together, [n]
        bins: where each bin that is not empty begins in `members`, and the end, [m + 1]
        queries: where the bins of each query begin in `bins`, and the end, [q + 1]
    """

    topics: QueryTopics
    members: Integers
    bins: Integers
    queries: Integers

    @classmethod
    def of(cls, queries: Integers, margins: Floats, bins: int, topics: QueryTopics) -> "TopicGroups":
        """Sort examples by query, and each query's by the teacher's margins, whose range is cut into equal bins.

        Args:
            queries: the row of each example's query, which must be among the topics', [n]
            margins: the teacher's margin of each example, [n]
            bins: into how many bins the range of a query's margins is cut
            topics: the clusters
        """
        places = np.searchsorted(topics.queries, queries)
        least, most = np.full(len(topics.queries), np.inf), np.full(len(topics.queries), -np.inf)
        np.minimum.at(least, places, margins)
        np.maximum.at(most, places, margins)
        width = np.where(most > least, most - least, 1.0)[places]
        bin_of = np.minimum((margins - least[places]) / width * bins, bins - 1).astype(np.int64)
        order = np.lexsort((np.arange(len(queries)), bin_of, places))
        _, first = np.unique(places[order] * bins + bin_of[order], return_index=True)
        owners = np.searchsorted(places[order][first], np.arange(len(topics.queries) + 1))
        return cls(topics, order, np.append(first, len(order)), owners)


@dataclass(frozen=True)
class TopicSchedule:
    """Which examples each step trains on, as a function of groups, batch size, seed and step alone.

    A round reads every query once, in batches of one cluster each. The last batch of a cluster is filled up with
    queries of the same cluster, and one of a cluster that is smaller than a batch with those of the nearest clusters.
    For each query a bin that is not empty is drawn, all equally often, and an example of it.
    """

    groups: TopicGroups
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of a round."""
        counts = np.bincount(self.groups.topics.labels)
        return int(np.ceil(counts / self.batch_size).sum())

    def epoch(self, number: int) -> "TopicRound":
        """Return the batches of a round."""
        return TopicRound(self, number)


class TopicRound:
    """The batches of a round, each made when it is asked for."""

    def __init__(self, schedule: TopicSchedule, number: int) -> None:
        self._schedule, self._number = schedule, number
        labels = schedule.groups.topics.labels
        rng = np.random.default_rng([schedule.seed, 3, number])
        drawn = rng.permutation(len(labels))
        order = drawn[np.argsort(labels[drawn], kind="stable")]
        ends = np.cumsum(np.bincount(labels, minlength=len(schedule.groups.topics.centres)))
        self._clusters = np.split(order, ends[:-1])
        starts = [
            (cluster, start)
            for cluster, queries in enumerate(self._clusters)
            for start in range(0, len(queries), schedule.batch_size)
        ]
        self._starts = [starts[place] for place in rng.permutation(len(starts))]

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> Integers:
        schedule = self._schedule
        rng = np.random.default_rng([schedule.seed, 5, self._number, index])
        cluster, start = self._starts[index]
        return self._pairs(self._queries(cluster, start, rng), rng)

    def _queries(self, cluster: int, start: int, rng: np.random.Generator) -> Integers:
        """Return the queries of a batch, filled up from its own cluster and then from the nearest ones."""
        size, own = self._schedule.batch_size, self._clusters[cluster]
        found = [own[start : start + size]]
        lacking = size - len(found[0])
        if lacking:
            found.append(rng.permutation(own[:start])[:lacking])
            lacking -= len(found[1])
        for other in self._schedule.groups.topics.near[cluster][1:] if lacking else ():
            found.append(rng.permutation(self._clusters[other])[:lacking])
            lacking -= len(found[-1])
            if not lacking:
                break
        return np.concatenate(found)

    def _pairs(self, queries: Integers, rng: np.random.Generator) -> Integers:
        """Return an example of each query: of a bin, drawn among those that are not empty, any one."""
        groups, draws = self._schedule.groups, rng.random((2, len(queries)))
        first, end = groups.queries[queries], groups.queries[queries + 1]
        chosen = first + (draws[0] * (end - first)).astype(np.int64)
        start, stop = groups.bins[chosen], groups.bins[chosen + 1]
        found: Integers = groups.members[start + (draws[1] * (stop - start)).astype(np.int64)]
        return found


def default_clusters(queries: int, of_each: int = 200) -> int:
    """Return how many clusters some queries are cut into by default: as many in each as in the paper."""
    return max(1, math.floor(queries / of_each + 0.5))
