"""Losses of a whole batch in bounded memory: vectors first, their gradients next, the encoder's in micro-batches last.

Gao et al. 2021, GradCache: https://arxiv.org/abs/2101.06983. The first pass encodes every micro-batch without a graph.
The loss of all processes' vectors gives a gradient for each. In the second pass a micro-batch is encoded again, by the
same dropout, and its vectors are differentiated with these gradients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distilkit.data.side_tokens import SideTokens
from distilkit.models.batch import GroupedSides, SideBatch
from distilkit.models.encoded import Encoded, encode_rows, wide
from distilkit.models.ranker import SideRanker
from distilkit.progress import ProcessGroup
from distilkit.strategies.list_terms import BatchTerm
from distilkit.strategies.stage import Stage
from distilkit.strategies.term_inputs import BatchInputs, Counts


@dataclass(frozen=True)
class EncodedLists:
    """Lists as vectors: a query a list and `ways` passages, with their rows in the collection, [lists, 1 + ways]."""

    queries: Encoded
    passages: Encoded
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def joined(cls, parts: "Sequence[EncodedLists]") -> "EncodedLists":
        """Return the lists of all parts."""
        queries, passages = (
            Encoded.concatenated([getattr(part, side) for part in parts]) for side in ("queries", "passages")
        )
        return cls(queries, passages, torch.cat([part.rows for part in parts]))

    def to(self, device: torch.device | str) -> "EncodedLists":
        """Return them on a device."""
        return EncodedLists(self.queries.to(device), self.passages.to(device), self.rows.to(device))


@dataclass(frozen=True)
class BatchShare:
    """What a micro-batch has of the losses of the whole batch: each one's value, and the gradients of its vectors.

    The gradients are those of the losses' weighted sum.
    """

    values: Mapping[str, Tensor]
    queries: Tensor
    passages: Tensor

    def gradient(self, encoded: EncodedLists) -> Tensor:
        """Return 0, whose gradient by these vectors, encoded once more, is that of the whole batch."""
        along = (encoded.queries.states * self.queries).sum() + (encoded.passages.states * self.passages).sum()
        return along - along.detach()


@dataclass(frozen=True)
class InBatchTeacher:
    """A frozen ranker that scores all pairs of a batch, with its tokens; it encodes so many texts a forward pass."""

    ranker: Any
    tokens: SideTokens
    batch_size: int

    def encoded(self, rows: Tensor, device: torch.device) -> EncodedLists:
        """Return lists of some rows of the collection, [lists, 1 + ways], as its vectors."""
        how: dict[str, Any] = {"batch_size": self.batch_size, "device": device}
        texts = rows.cpu().numpy()
        with torch.no_grad():
            queries = encode_rows(self.ranker.encode_query, self.tokens.queries, texts[:, 0], **how)
            passages = encode_rows(self.ranker.encode_document, self.tokens.documents, texts[:, 1:].ravel(), **how)
        return EncodedLists(queries, passages, rows)

    def scores(self, lists: EncodedLists) -> Tensor:
        """Return the score of every query with every passage of some lists, [lists, passages]."""
        scores: Tensor = self.ranker.score_all(lists.queries, lists.passages)
        return scores


def reads_batch(stage: Stage, student: Any) -> bool:
    """Return whether a stage compares its student's queries with all passages of the batch."""
    return stage.reads_batch and isinstance(student, SideRanker) and student.searches


def encoded_pairs(student: SideRanker, tokens: SideBatch | GroupedSides) -> tuple[Encoded, Encoded]:
    """Return the query and the passage of every pair of a forward pass as vectors; each query is encoded once."""
    own = student.encode_query(tokens.query)
    groups = [(documents, own if index is None else own.rows(index)) for documents, index in tokens.groups]
    passages = [student.encode_document_beside(documents, tokens.query) for documents, _ in groups]
    return Encoded.concatenated([queries for _, queries in groups]), Encoded.concatenated(passages)


def scores_of(student: Any, queries: Encoded, passages: Encoded) -> Tensor:
    """Return the score of every pair, scaled as in training."""
    scores: Tensor = student.score_encoded(queries, passages) * getattr(student.options, "scale", 1.0)
    return scores


def lists_of(pairs: Sequence[tuple[Encoded, Encoded]], places: Tensor, rows: Tensor, ways: int) -> EncodedLists:
    """Return the pairs of a micro-batch, in whatever order they were encoded, as lists in their own order."""
    order = places.argsort()
    queries, passages = (Encoded.concatenated([pair[side] for pair in pairs]).rows(order) for side in (0, 1))
    rows = rows[order].view(-1, ways, 2)
    return EncodedLists(queries.rows(slice(None, None, ways)), passages, torch.cat([rows[:, 0], rows[:, 1:, 1]], 1))


def shares_of(
    student: Any,
    stage: Stage,
    parts: Sequence[EncodedLists],
    counts: Counts,
    processes: ProcessGroup,
    teacher: InBatchTeacher | None = None,
) -> list[BatchShare]:
    """Return each micro-batch's share of the losses of the whole batch, over all processes; these call it together.

    A process without an example of its own has no parts. `teacher` scores the whole batch too.
    """
    found = [EncodedLists.joined(parts)] if parts else []
    everyone, taught = _of_all(found, processes), list[EncodedLists]()
    if teacher is not None:
        taught = _of_all([teacher.encoded(one.rows, processes.device) for one in found], processes)
    sizes = processes.gather([len(found[0]) if found else 0])
    if not parts:
        return []
    whole = EncodedLists.joined(everyone).to(processes.device)
    terms, ways = [term for term in stage.terms if isinstance(term, BatchTerm)], whole.rows.shape[1] - 1
    with torch.no_grad():
        known = EncodedLists.joined(taught).to(processes.device) if taught else None
        targets = None if known is None or teacher is None else teacher.scores(known)
    with torch.enable_grad():
        queries, passages = (wide(one.states.detach()).requires_grad_() for one in (whole.queries, whole.passages))
        sides = Encoded(queries, whole.queries.mask), Encoded(passages, whole.passages.mask)
        scores = student.score_all(*sides) * getattr(student.options, "scale", 1.0)
        inputs = BatchInputs(scores, *targets_of(whole.rows), ways, counts.lists, targets)
        torch.autograd.backward(torch.stack([term.weight * term.compute_batch(inputs) for term in terms]).sum())
    start = sum(sizes[: processes.rank])
    mine = inputs.rows(slice(start, start + len(found[0])))
    values = {term.name: term.compute_batch(mine) for term in terms}
    shares = []
    assert queries.grad is not None
    assert passages.grad is not None
    for part in parts:
        end = start + len(part)
        own = queries.grad[start:end], passages.grad[start * ways : end * ways]
        # Padding of the longest text of the batch is none of this micro-batch's.
        cut = [one[:, : side.states.shape[1]] for one, side in zip(own, (part.queries, part.passages), strict=True)]
        shares.append(BatchShare(values, *cut))
        values, start = {name: torch.zeros_like(value) for name, value in values.items()}, end
    return shares


def _of_all(found: list[EncodedLists], processes: ProcessGroup) -> list[EncodedLists]:
    """Return the vectors of all processes, by rank."""
    return found if processes.count == 1 else processes.gather([one.to("cpu") for one in found])


def random_state(device: torch.device) -> list[Tensor]:
    """Return what the next random numbers of this process depend on, on the CPU and on a GPU."""
    own = [torch.get_rng_state()]
    return [*own, torch.cuda.get_rng_state(device)] if device.type == "cuda" else own


def set_random_state(state: list[Tensor], device: torch.device) -> None:
    """Draw the numbers that followed `random_state` once more."""
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


def targets_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return where each list's positive is among all passages, [lists], and which are not negatives, [lists, passages].

    Those are the positives of other lists of the same query, wherever they stand. `rows` [lists, 1 + ways] are the
    rows of each list's query and passages in the collection, the positive first.
    """
    queries, passages, ways = rows[:, 0], rows[:, 1:].reshape(-1), rows.shape[1] - 1
    positives = torch.arange(len(rows), device=rows.device) * ways
    relevant = (rows[:, 1][:, None] == passages[None]).float()  # [lists, passages]: the positive of the list
    same = (queries[:, None] == queries[None]).float()
    excluded = (same @ relevant) > 0
    excluded[torch.arange(len(rows), device=rows.device), positives] = False
    return positives, excluded
