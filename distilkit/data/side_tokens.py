"""How a ranker's texts are tokenised: pairs in one sequence, or queries and documents each by itself."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
from distilkit.data.tokens import Cut, Documents, PairTokens, Template, TokenStore
from distilkit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Hofstätter et al. 2020, section 4.1: tokens of a query and of a passage, special tokens included.
QUERY_LENGTH, DOCUMENT_LENGTH = 30, 200
MARKERS = {"query": "[unused0]", "document": "[unused1]"}
MaskPosition = Literal["before_sep", "after_sep"]


@dataclass(frozen=True)
class PairFormat:
    """Query and document in one sequence, with the special tokens that the tokenizer puts around a pair.

    `length_keys` are the keys of `[data]` that say how long texts can be.
    """

    length_keys: ClassVar[tuple[str, ...]] = ("max_length",)

    def tokens(
        self,
        tokenizer: "PreTrainedTokenizerFast",
        queries: TokenStore,
        passages: TokenStore,
        lengths: Mapping[str, int],
        documents: Documents | None = None,
    ) -> PairTokens:
        """Return stored tokens as pairs, cut to `lengths["max_length"]`."""
        return PairTokens(queries, passages, Template.of(tokenizer), lengths["max_length"], documents)


@dataclass(frozen=True)
class TemplateFormat(PairFormat):
    """Query and document in one sequence, in a template's words: what stands around the query is stored with it.

    Attributes:
        tail: the text behind the document, which is never cut; the document alone is
        specials: whether the tokenizer's special tokens stand around all of it
    """

    tail: str = ""
    specials: bool = True

    def tokens(
        self,
        tokenizer: "PreTrainedTokenizerFast",
        queries: TokenStore,
        passages: TokenStore,
        lengths: Mapping[str, int],
        documents: Documents | None = None,
    ) -> PairTokens:
        """Return stored tokens as pairs in the template; raises UserError where it leaves no room for a document."""
        own = Template.of(tokenizer, texts=1)
        before, after = own.around if self.specials else ((), ())
        tail = tuple(tokenizer(self.tail, add_special_tokens=False)["input_ids"]) if self.tail else ()
        template = Template((before, (), (*tail, *after)), None, own.pad, own.pad_type, keeps_first=True)
        length = lengths["max_length"]
        if length <= template.specials:
            raise UserError(f"max_length = {length} leaves no room for text beside the template's {template.specials}")
        return PairTokens(queries, passages, template, length, documents)


@dataclass(frozen=True)
class SideFormat:
    """Query and document in a sequence each, and what is put around the tokens of either.

    Attributes:
        specials: whether each has the tokenizer's special tokens: [CLS] and [SEP] for BERT
        document_cls: whether a document keeps the one in front
        query_masks: how many [MASK] tokens a query gets beyond its length limit, or `fill`: as many as it is shorter
        mask_position: whether they come before the last [SEP] or after it
        attend_to_masks: whether other tokens see them
        markers: whether [unused0] and [unused1] follow [CLS] in queries and documents, as ColBERT's [Q] and [D] do, or
            two other tokens that do
        skip_punctuation: whether a document's punctuation is read but not scored
    """

    length_keys: ClassVar[tuple[str, ...]] = ("query_length", "document_length")

    specials: bool = True
    document_cls: bool = True
    query_masks: int | Literal["fill"] = 0
    mask_position: MaskPosition = "before_sep"
    attend_to_masks: bool = True
    markers: bool | tuple[str, str] = False
    skip_punctuation: bool | tuple[str, ...] = False

    def tokens(
        self,
        tokenizer: "PreTrainedTokenizerFast",
        queries: TokenStore,
        passages: TokenStore,
        lengths: Mapping[str, int],
        documents: Documents | None = None,
    ) -> "SideTokens":
        """Return stored tokens as queries and documents, cut to their two lengths; windows are not put together."""
        return SideTokens.of(tokenizer, queries, passages, self, *(lengths[key] for key in self.length_keys))


TextFormat = PairFormat | SideFormat


def markers_of(markers: bool | tuple[str, str] | None) -> dict[str, str]:
    """Return the tokens that mark queries and documents."""
    return MARKERS if isinstance(markers, bool) or markers is None else dict(zip(MARKERS, markers, strict=True))


def skipped_words(skip: bool | tuple[str, ...] | None) -> list[str]:
    """Return the words of documents that are read but not scored: all punctuation, none, or those that are named."""
    return list(string.punctuation if skip is True else skip or ())


@dataclass(frozen=True)
class Side:
    """Queries, or documents, as an architecture reads them: prefix, tokens, suffix, with MASKs before it or after.

    No text has more than `max_length` tokens with prefix and suffix; a number of MASKs comes on top of that, and
    `fill` fills every text up to it.
    """

    store: TokenStore
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    max_length: int
    pad: int
    types: bool
    masks: int | Literal["fill"] = 0
    mask: int = 0
    masks_first: bool = True
    attend_to_masks: bool = True
    unscored: tuple[int, ...] = ()

    @property
    def longest(self) -> int:
        """The most tokens that a text can have."""
        return self.max_length + (0 if self.masks == "fill" else self.masks)

    def lengths(self, rows: Integers) -> Integers:
        """Return the tokens of each text, special tokens and MASKs included."""
        lengths: Integers = self._bodies(rows) + len(self.prefix) + len(self.suffix) + self._masks(rows)
        return lengths

    def batch(self, rows: Integers) -> dict[str, npt.NDArray[np.int64]]:
        """Return input_ids, attention_mask and, where they are needed, token_type_ids and scored, each [texts, L]."""
        bodies, masks = self._bodies(rows), self._masks(rows)
        lengths = bodies + len(self.prefix) + len(self.suffix) + masks
        ids = np.full((len(rows), max(1, int(lengths.max(initial=0)))), self.pad, np.int64)
        spots = np.arange(ids.shape[1])[None]
        ids[:, : len(self.prefix)] = self.prefix
        in_body = (spots >= len(self.prefix)) & (spots < len(self.prefix) + bodies[:, None])
        ids[in_body] = self.store.tokens[(self.store.starts[rows][:, None] + spots - len(self.prefix))[in_body]]
        end = len(self.prefix) + bodies
        first_mask = end if self.masks_first else end + len(self.suffix)
        masked = (spots >= first_mask[:, None]) & (spots < (first_mask + masks)[:, None])
        ids[masked] = self.mask
        suffix_spots = (end + masks if self.masks_first else end)[:, None] + np.arange(len(self.suffix))
        np.put_along_axis(ids, suffix_spots, np.asarray(self.suffix, np.int64)[None], axis=1)
        real = spots < lengths[:, None]
        seen = real if self.attend_to_masks else real & ~masked
        columns = {"input_ids": ids, "attention_mask": seen.astype(np.int64)}
        if self.types:
            columns["token_type_ids"] = np.zeros_like(ids)
        if self.unscored or not self.attend_to_masks:
            columns["scored"] = (real & ~np.isin(ids, self.unscored)).astype(np.int64)
        return columns

    def cut(self, rows: Integers, what: str) -> Cut:
        """Return how many of some texts, each counted once, are cut."""
        distinct = np.unique(rows)
        whole = self.store.lengths[distinct] + len(self.prefix) + len(self.suffix)
        return Cut(int((whole > self.max_length).sum()), len(distinct), what, self.max_length)

    def _bodies(self, rows: Integers) -> Integers:
        kept = self.store.starts[rows + 1] - self.store.starts[rows]
        bodies: Integers = np.minimum(kept, self.max_length - len(self.prefix) - len(self.suffix))
        return bodies

    def _masks(self, rows: Integers) -> Integers:
        if self.masks == "fill":
            return self.max_length - len(self.prefix) - len(self.suffix) - self._bodies(rows)
        return np.full(len(rows), self.masks, np.int64)


@dataclass(frozen=True)
class SideTokens:
    """Queries and documents as one tokenizer and one architecture see them: `PairTokens`' counterpart."""

    queries: Side
    documents: Side

    @classmethod
    def of(
        cls,
        tokenizer: "PreTrainedTokenizerFast",
        queries: TokenStore,
        passages: TokenStore,
        form: SideFormat,
        query_length: int = QUERY_LENGTH,
        document_length: int = DOCUMENT_LENGTH,
    ) -> "SideTokens":
        """Return the tokens in the form that an architecture's options ask for.

        Raises UserError where the tokenizer lacks a token of that form, or a length leaves no room for text.
        """
        template = SideTemplate(tokenizer, form)
        return cls(template.side("query", queries, query_length), template.side("document", passages, document_length))

    @property
    def max_length(self) -> int:
        """The most tokens that query and document can have together."""
        return self.queries.longest + self.documents.longest

    def lengths(self, queries: Integers, passages: Integers) -> Integers:
        """Return the tokens of each pair, those of its query and its document added up."""
        return self.queries.lengths(queries) + self.documents.lengths(passages)

    def cut(self, queries: Integers, passages: Integers) -> Cut:
        """Return how many of the documents of some pairs are cut, or where none is, of the queries."""
        documents, asking = self.documents.cut(passages, "documents"), self.queries.cut(queries, "queries")
        return documents if documents.texts >= asking.texts else asking

    def batch(self, queries: Integers, passages: Integers) -> dict[str, Any]:
        """Return the columns of queries and documents for `models.batch.batch_of`; a repeated query is there once."""
        unique, index = np.unique(queries, return_inverse=True)
        if len(unique) == len(queries):
            return {"query": self.queries.batch(queries), "document": self.documents.batch(passages)}
        document = self.documents.batch(passages)
        return {"query": self.queries.batch(unique), "document": document, "query_index": index.astype(np.int64)}

    def grouped(self, queries: Integers, passages: Integers, groups: Sequence[Integers]) -> dict[str, Any]:
        """Return columns for `models.batch.batch_of` with every query once and the documents group by group."""
        unique, index = np.unique(queries, return_inverse=True)
        return {
            "query": self.queries.batch(unique),
            "documents": [self.documents.batch(passages[group]) for group in groups],
            "query_indexes": [index[group].astype(np.int64) for group in groups],
        }


@dataclass(frozen=True)
class SideTemplate:
    """The tokens that a tokenizer puts around one text, and those that an architecture adds."""

    tokenizer: "PreTrainedTokenizerFast"
    form: SideFormat

    def side(self, kind: Literal["query", "document"], store: TokenStore, max_length: int) -> Side:
        """Return the queries or the documents of a store."""
        prefix, suffix = Template.of(self.tokenizer, texts=1).around if self.form.specials else ((), ())
        if kind == "document" and not self.form.document_cls:
            prefix = ()
        if self.form.markers:
            prefix = (*prefix, self._id(markers_of(self.form.markers)[kind]))
        if max_length <= len(prefix) + len(suffix):
            raise UserError(f"{kind}_length = {max_length} leaves no room for text beside the special tokens")
        masks = self.form.query_masks if kind == "query" else 0
        return Side(
            store=store,
            prefix=prefix,
            suffix=suffix,
            max_length=max_length,
            pad=self.tokenizer.pad_token_id,
            types="token_type_ids" in self.tokenizer.model_input_names,
            masks=masks,
            mask=self._mask if masks else 0,
            masks_first=self.form.mask_position == "before_sep",
            attend_to_masks=self.form.attend_to_masks or not masks,
            unscored=self._unscored if kind == "document" else (),
        )

    @property
    def _mask(self) -> int:
        # As in PyLate, decoders fill their queries with ends of texts.
        tokens = (self.tokenizer.mask_token_id, self.tokenizer.eos_token_id)
        found = next((one for one in tokens if one is not None), None)
        if found is None:
            raise UserError("query_masks: the tokenizer has no mask token, nor one for the end of a text")
        return int(found)

    @property
    def _unscored(self) -> tuple[int, ...]:
        # By their own tokens, as PyLate has it: a tokenizer of sentences would put a blank before each. A word that is
        # unknown leaves out nothing, as in sentence-transformers, unless it is the token for unknown words itself.
        words = skipped_words(self.form.skip_punctuation)
        unknown = set() if self.tokenizer.unk_token in words else {self.tokenizer.unk_token_id}
        ids = {self.tokenizer.convert_tokens_to_ids(word) for word in words}
        return tuple(sorted(ids - {None} - unknown))

    def _id(self, token: str) -> int:
        found = self.tokenizer.convert_tokens_to_ids(token)
        if found is None or found == self.tokenizer.unk_token_id:
            raise UserError(
                f"markers: the tokenizer's vocabulary has no {token}; name two tokens of it, or set markers = false"
            )
        return int(found)
