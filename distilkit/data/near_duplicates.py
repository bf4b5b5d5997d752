"""Near-duplicates: texts whose sets of words have a large Jaccard similarity, found without comparing all pairs."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set

# Products of a threshold and a count may lie a little above the whole number that they stand for.
SLACK = 1e-9


def near_pairs(texts: Sequence[Set[str]], threshold: float) -> Iterator[tuple[int, int]]:
    """Yield (later, earlier) pairs of sets of words whose Jaccard similarity is at least `threshold`, above 0.

    Two sets of similarity t share at least one of the (1 - t) n + 1 rarest words of each, where n is its size (prefix
    filtering, Chaudhuri, Ganti and Kaushik 2006), so that only sets that share one of those are compared.
    """
    frequency = Counter(word for words in texts for word in words)
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for later, words in enumerate(texts):
        rarest = sorted(words, key=lambda word: (frequency[word], word))
        prefix = rarest[: len(words) - math.ceil(threshold * len(words) - SLACK) + 1]
        for earlier in sorted({other for word in prefix for other in holders[word]}):
            common = len(words & texts[earlier])
            if common + SLACK >= threshold * (len(words) + len(texts[earlier]) - common):
                yield later, earlier
        for word in prefix:
            holders[word].append(later)


def near_groups(texts: Sequence[Set[str]], threshold: float) -> list[list[int]]:
    """Return the groups of near-duplicates, each with all that a chain of near pairs joins, singles among them."""
    first = list(range(len(texts)))

    def root(place: int) -> int:
        while first[place] != place:
            place = first[place] = first[first[place]]
        return place

    for later, earlier in near_pairs(texts, threshold):
        one, other = sorted((root(later), root(earlier)))
        first[other] = one
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for place in range(len(texts)):
        groups[root(place)].append(place)
    return list(groups.values())
