"""What is written around queries and documents before they are tokenised, such as E5's `query: ` in front."""

from collections.abc import Mapping
from typing import Any, NamedTuple

SIDES = ("query", "document")


class Prefixes(NamedTuple):
    """The text in front of queries and of documents, '' for none, and behind queries where a template has any."""

    query: str = ""
    document: str = ""
    query_end: str = ""

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """What stands before and behind queries, and before and behind documents."""
        return (self.query, self.query_end), (self.document, "")

    def changed(self, query: str | None, document: str | None) -> "Prefixes":
        """Return them with those replaced that are given."""
        given = {"query": query, "document": document}
        return self._replace(**{side: text for side, text in given.items() if text is not None})

    def identity(self) -> dict[str, Any]:
        """Return them as keys hold them; {} where there are none, so that older keys stay."""
        return {"prefixes": list(self)} if any(self) else {}

    def prompts(self) -> dict[str, str]:
        """Return them as sentence-transformers names them."""
        return {side: getattr(self, side) for side in SIDES}

    def entry(self) -> dict[str, str]:
        """Return them as a saved ranker's config.json holds them."""
        return {f"{side}_prefix": getattr(self, side) for side in SIDES if getattr(self, side)}

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> "Prefixes":
        """Return those that `entry` wrote."""
        return cls(*(str(entry.get(f"{side}_prefix", "")) for side in SIDES))


NONE = Prefixes()
