"""What a request to /rerank asks for, and how it is answered: text-embeddings-inference's way or Cohere's."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from distilkit.untrusted import parse_json

Scores = npt.NDArray[np.float64]


class Refused(Exception):  # noqa: N818
    """A request that is not answered as it wishes: the status, and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """What a request may hold at most: bytes of its body, texts, and characters of a text."""

    body: int
    texts: int
    characters: int


@dataclass(frozen=True)
class Asked:
    """A query and the texts to rank for it.

    Attributes:
        query: the query
        texts: the texts
        cohere: whether they came as Cohere's `documents`, and are answered so
        top: how many are returned, all where None
        with_text: whether the answer repeats the texts
        raw: whether scores are the ranker's own; else they are `1 / (1 + exp(-score))`
        whole: whether texts longer than the ranker reads are refused, which are cut else
    """

    query: str
    texts: list[str]
    cohere: bool
    top: int | None
    with_text: bool
    raw: bool
    whole: bool

    def answer(self, scores: Scores) -> Any:
        """Return the answer as plain data: texts by score, best first, of equal scores the one given first."""
        shown = scores if self.raw else expit(scores)
        order = np.argsort(-scores, kind="stable")[: self.top].tolist()
        if self.cohere:
            found = [{"index": at, "relevance_score": float(shown[at])} for at in order]
            texts: list[dict[str, Any]] = [{"document": {"text": self.texts[at]}} for at in order]
        else:
            found = [{"index": at, "score": float(shown[at])} for at in order]
            texts = [{"text": self.texts[at]} for at in order]
        if self.with_text:
            found = [{**one, **text} for one, text in zip(found, texts, strict=True)]
        return {"results": found} if self.cohere else found


def asked_in(body: bytes, limits: Limits) -> Asked:
    """Return what a request's body asks for; raises Refused with one sentence for a body that is wrong or too much.

    Texts come as `texts` or as `documents`, which decides about the form of the answer. Fields that are not known are
    ignored, as the two services do, and null counts as absent.
    """
    try:
        table = parse_json(body)
    except ValueError as error:
        raise Refused(400, f"the body is not JSON in UTF-8: {next(iter(str(error).splitlines()), '')}") from None
    if not isinstance(table, dict):
        raise Refused(422, "the body is not a JSON object; expected one with query and texts, or query and documents")
    given = {name: value for name, value in table.items() if value is not None}
    query = given.get("query")
    if not isinstance(query, str) or not query.strip():
        raise Refused(422, "query: expected a text that is not empty")
    if ("texts" in given) == ("documents" in given):
        both = "both are there" if "texts" in given else "neither is there"
        raise Refused(422, f"texts or documents: expected one of the two, a list of texts; {both}")
    field = "texts" if "texts" in given else "documents"
    texts = _texts(given[field], field, limits)
    for name, text in (("query", query), *((f"{field}[{place}]", text) for place, text in enumerate(texts))):
        if len(text) > limits.characters:
            most = f"{limits.characters:,} are read at most"
            raise Refused(413, f"{name}: a text of {len(text):,} characters, where {most}")
    if str(given.get("truncation_direction", "right")).lower() != "right":
        raise Refused(422, 'truncation_direction: expected "right"; texts are cut at their end')
    return Asked(
        query=query,
        texts=texts,
        cohere=field == "documents",
        top=_count(given, "top_n"),
        with_text=_truth(given, "return_text") or _truth(given, "return_documents"),
        raw=_truth(given, "raw_scores"),
        whole=not _truth(given, "truncate", True),
    )


def _texts(value: object, field: str, limits: Limits) -> list[str]:
    if not isinstance(value, list) or not value:
        raise Refused(422, f"{field}: expected a list of texts that is not empty")
    if len(value) > limits.texts:
        raise Refused(413, f"{field}: {len(value):,} texts, where a request may have {limits.texts:,} at most")
    texts = []
    for place, one in enumerate(value):
        text = one.get("text") if field == "documents" and isinstance(one, dict) else one
        if not isinstance(text, str):
            form = " or an object with a text" if field == "documents" else ""
            raise Refused(422, f"{field}[{place}]: expected a text{form}")
        texts.append(text)
    return texts


def _truth(given: dict[str, Any], name: str, default: bool = False) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise Refused(422, f"{name}: expected true or false")
    return value


def _count(given: dict[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is not None and (type(value) is not int or value < 1):
        raise Refused(422, f"{name}: expected a whole number from 1")
    return value
