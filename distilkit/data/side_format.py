"""How an architecture wants queries and documents tokenised apart."""

from dataclasses import dataclass
from typing import Literal

MaskPosition = Literal["before_sep", "after_sep"]


@dataclass(frozen=True)
class SideFormat:
    """What is put around the tokens of a query and of a document.

    Attributes:
        specials: whether each has the tokenizer's special tokens: [CLS] and [SEP] for BERT
        document_cls: whether a document keeps the one in front
        query_masks: how many [MASK] tokens a query gets beyond its length limit, or `fill`: as many as it is shorter
        mask_position: whether they come before the last [SEP] or after it
        attend_to_masks: whether other tokens see them
        markers: whether [unused0] and [unused1] follow [CLS] in queries and documents, as ColBERT's [Q] and [D] do
        skip_punctuation: whether a document's punctuation is read but not scored
    """

    specials: bool = True
    document_cls: bool = True
    query_masks: int | Literal["fill"] = 0
    mask_position: MaskPosition = "before_sep"
    attend_to_masks: bool = True
    markers: bool = False
    skip_punctuation: bool = False
