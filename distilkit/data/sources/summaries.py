"""A docstring in two: the sentence that sums it up, and a body that does not repeat it."""

import re

from distilkit.data.sources.docstrings import Docstring

QUERY_WORDS = range(4, 31)
LEAST_BODY_WORDS = 20
BODY_WORDS = 35

ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|resp|approx|Fig|Eq|Ref|No)|\b[A-Z])\.$")
SENTENCE_END = re.compile(r"[.!?](?=\s)")
BLANK_LINE = re.compile(r"\n\s*\n")
RULE = re.compile(r"^\s*[-=~*^#]{3,}\s*$", re.MULTILINE)


class UnfitError(Exception):
    """A docstring makes no query and document; the message is the reason, for counting."""


def query_and_body(docstring: Docstring) -> tuple[str, list[str]]:
    """Return the first sentence and the words of the body; raises UnfitError where either is too short or too long."""
    sentences = _sentences(docstring.text)
    query = sentences[0] if sentences else ""
    length = len(query.split())
    if length not in QUERY_WORDS:
        raise UnfitError("query too short" if length < QUERY_WORDS.start else "query too long")
    plain = normalised(query)
    body = " ".join(sentence for sentence in sentences[1:] if plain not in normalised(sentence)).split()
    if len(body) < LEAST_BODY_WORDS:
        raise UnfitError("body too short")
    return query, body


def document(docstring: Docstring, query: str, body: list[str]) -> str:
    """Return the document: name, parameters and the body's beginning; raises UnfitError where it contains the query.

    Private modules on the way are left out of the name: people know scipy.stats._morestats.anderson without the middle.
    """
    *above, last = docstring.name.split(".")
    name = ".".join([*(part for part in above if not part.startswith("_")), last])
    text = f"{name}{docstring.parameters} {' '.join(body[:BODY_WORDS])}"
    # Sentences were compared one by one: a query may still lie across two of them.
    if normalised(query) in normalised(text):
        raise UnfitError("query in document")
    return text


def normalised(text: str) -> str:
    """Return a text's words in lower case, joined by single blanks, without any punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text; a blank line ends one as well, underlines and backticks are no text."""
    sentences = []
    for paragraph in BLANK_LINE.split(RULE.sub("", text).replace("`", "")):
        line, start = " ".join(paragraph.split()), 0
        for end in SENTENCE_END.finditer(line):
            if not ABBREVIATION.search(line[start : end.end()]):
                sentences.append(line[start : end.end()].strip())
                start = end.end()
        sentences.append(line[start:].strip())
    return [sentence for sentence in sentences if sentence]
