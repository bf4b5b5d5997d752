"""Clusters of queries as scipy finds them, and batches of one cluster with margins of all sizes."""

from collections import Counter

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

from distilkit.data.topics import QueryTopics, TopicGroups, TopicSchedule, default_clusters, k_means, nearest


def blobs(each: int = 30) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0, 1.0], [4.0, 0.0, 0.0], [0.0, 5.0, 0.0], [6.0, 6.0, 6.0]])
    return np.concatenate([centre + rng.normal(size=(each, 3)) for centre in centres])


def test_clusters_are_those_of_scipy() -> None:
    vectors = blobs()
    labels, centres = k_means(vectors, 4, 3)
    start = vectors[np.sort(np.random.default_rng([3, 6]).choice(len(vectors), 4, replace=False))]
    expected, wanted = kmeans2(vectors, start, iter=60, minit="matrix")[::-1]
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_allclose(centres, wanted, atol=1e-6)
    assert len(set(labels.tolist())) == 4


def test_distances_are_squared_and_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = blobs(5)
    whole = nearest(vectors, vectors[:3])
    monkeypatch.setattr("distilkit.data.topics.BLOCK", 7)
    labels, distances = nearest(vectors, vectors[:3])
    by_hand = ((vectors[:, None] - vectors[None, :3]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, by_hand.argmin(axis=1))
    np.testing.assert_allclose(distances, by_hand.min(axis=1), atol=1e-9)
    np.testing.assert_array_equal(labels, whole[0])


def test_no_cluster_stays_empty() -> None:
    vectors = np.array([[0.0]] * 6 + [[1.0], [9.0]])
    labels, _ = k_means(vectors, 4, 0)
    assert len(set(labels.tolist())) == 4


def test_as_many_queries_in_a_cluster_as_in_the_paper() -> None:
    assert [default_clusters(count) for count in (3, 299, 301, 400_000)] == [1, 1, 2, 2000]


def groups_of(sizes: tuple[int, ...], pairs: int, bins: int) -> TopicGroups:
    """Return the groups of clusters of some sizes in a row on a line; the margins of a query lie skewed."""
    queries = np.arange(sum(sizes)) * 3
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.arange(len(sizes), dtype=float)[:, None] ** 2
    margins = np.tile(np.linspace(0, 1, pairs) ** 4, len(queries))
    return TopicGroups.of(np.repeat(queries, pairs), margins, bins, QueryTopics(queries, labels, centres))


def test_pairs_are_in_the_bin_of_their_margin() -> None:
    queries, bins = np.array([5, 2, 5, 2, 5, 5]), 4
    margins = np.array([1.0, 7.0, -1.0, 7.0, 3.0, 0.1])
    groups = TopicGroups.of(queries, margins, bins, QueryTopics.one(queries))
    found = {}
    for place, query in enumerate(groups.topics.queries.tolist()):
        for at in range(groups.queries[place], groups.queries[place + 1]):
            found.setdefault(query, []).append(groups.members[groups.bins[at] : groups.bins[at + 1]].tolist())
    # Query 5: the range from -1 to 3 in quarters of 1; query 2 has one margin alone.
    assert found == {2: [[1, 3]], 5: [[2], [5], [0], [4]]}


def test_a_batch_has_the_queries_of_one_cluster_and_a_round_has_all() -> None:
    groups, pairs = groups_of((12, 3, 9), 2, 1), 2
    schedule = TopicSchedule(groups, 5, 1)
    for number in range(3):
        batches = schedule.epoch(number)
        assert len(batches) == schedule.steps_per_epoch == 3 + 1 + 2
        seen: set[int] = set()
        for step in range(len(batches)):
            own = batches[step] // pairs
            assert len(set(own.tolist())) == 5
            seen |= set(own.tolist())
            clusters = Counter(groups.topics.labels[own].tolist())
            # The cluster of three is filled up from the first, which is nearer to it than the last.
            assert clusters in ({0: 5}, {2: 5}, {1: 3, 0: 2})
        assert seen == set(range(24))
    assert len({tuple(schedule.epoch(number)[0].tolist()) for number in range(4)}) > 1


def test_a_batch_is_a_function_of_its_step() -> None:
    groups = groups_of((12, 3, 9), 6, 3)
    one, other = (TopicSchedule(groups, 5, 1) for _ in range(2))
    forwards = [one.epoch(2)[step].tolist() for step in range(6)]
    assert [other.epoch(2)[step].tolist() for step in reversed(range(6))] == forwards[::-1]
    assert TopicSchedule(groups, 5, 2).epoch(2)[0].tolist() != forwards[0]


def test_fewer_queries_than_a_batch_are_all_read() -> None:
    assert len(TopicSchedule(groups_of((2, 1), 4, 2), 8, 1).epoch(0)[0]) == 3


def test_bins_are_drawn_equally_often() -> None:
    pairs = 40
    groups = groups_of((50,), pairs, 4)
    schedule = TopicSchedule(groups, 50, 1)
    drawn = np.concatenate([schedule.epoch(number)[0] for number in range(40)]) % pairs
    counts = np.bincount((np.linspace(0, 1, pairs)[drawn] ** 4 * 4).astype(int).clip(max=3), minlength=4)
    # Of the margins 28 of 40 lie in the first bin; a draw that does not balance takes it that often.
    assert (np.abs(counts / len(drawn) - 0.25) < 0.04).all()
    loose = TopicSchedule(groups_of((50,), pairs, 1), 50, 1)
    drawn = np.concatenate([loose.epoch(number)[0] for number in range(40)]) % pairs
    assert ((np.linspace(0, 1, pairs)[drawn] ** 4) < 0.25).mean() > 0.6
