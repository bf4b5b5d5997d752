"""Language models that are asked whether a document answers a query: how much likelier is yes than no."""

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from distilkit.data.prefixes import Prefixes
from distilkit.data.side_tokens import TemplateFormat
from distilkit.errors import UserError, first_line
from distilkit.models.agree import require_alike
from distilkit.models.attention import use_our_attention
from distilkit.models.batch import TokenBatch
from distilkit.models.checkpoint import LOCAL, Checkpoint
from distilkit.models.load import LOADING_ERRORS, drawn_weights, from_folder, load_tokenizer
from distilkit.models.options import Options
from distilkit.models.pair_ranker import PairRanker
from distilkit.models.silence import silent

if TYPE_CHECKING:
    from distilkit.models.initialise import Origin

QUERY, DOCUMENT, INSTRUCTION = "{query}", "{document}", "{instruction}"
# Tokens that all texts of a batch begin with are computed once where there are as many as this.
SHARED = 8
# What templates are tried on: words, numbers, signs at either end.
SAMPLES = (("what is it?", "It is a thing."), ("3 apples", "(see 3)"), ("Ärger!", "'quoted' text"), ("red", "apple"))

QWEN = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: {instruction}\n'
    "<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
PRESETS: dict[str, dict[str, Any]] = {
    "monot5": {"template": "Query: {query} Document: {document} Relevant:", "yes": "true", "no": "false"},
    "qwen3-reranker": {
        "template": QWEN,
        "instruction": "Given a web search query, retrieve relevant passages that answer the query",
        "yes": "yes",
        "no": "no",
    },
}
# By transformers' name of the type of model.
PRESET_OF = {"t5": "monot5", "mt5": "monot5", "umt5": "monot5", "qwen3": "qwen3-reranker"}


@dataclass(frozen=True)
class YesNoOptions(Options):
    """How a language model is asked.

    Attributes:
        template: the text that it reads, with {query} before {document}, and {instruction} where it has one; or the
            name of a preset: `monot5`, `qwen3-reranker`
        instruction: what is written for {instruction}
        yes: the word, of one token, that says that a document is relevant
        no: the one that says that it is not
        specials: whether the tokenizer's special tokens stand around the text (those of a template are its own)
    """

    template: str = "qwen3-reranker"
    instruction: str = ""
    yes: str = "yes"
    no: str = "no"
    specials: bool = True

    def __post_init__(self) -> None:
        if self.template in PRESETS:
            for name, value in PRESETS[self.template].items():
                if name == "template" or getattr(self, name) == type(self).__dataclass_fields__[name].default:
                    object.__setattr__(self, name, value)
        counts = [self.template.count(place) for place in (QUERY, DOCUMENT)]
        if counts != [1, 1] or self.template.index(QUERY) > self.template.index(DOCUMENT):
            raise UserError(
                f"template = {self.template!r}: expected a text with {QUERY} and then {DOCUMENT}, each once, or one of "
                f"{', '.join(PRESETS)}"
            )
        if (INSTRUCTION in self.template) != bool(self.instruction):
            raise UserError(f"instruction = {self.instruction!r}: expected one where the template has {INSTRUCTION}")
        self._require_truth("specials")

    @property
    def _parts(self) -> tuple[str, str, str]:
        """The text before the query, between query and document, and after the document."""
        text = self.template.replace(INSTRUCTION, self.instruction)
        head, rest = text.split(QUERY)
        middle, tail = rest.split(DOCUMENT)
        return head, middle, tail

    @property
    def text_format(self) -> TemplateFormat:
        """How pairs are tokenised."""
        return TemplateFormat(tail=self._parts[2], specials=self.specials)

    def wrapped(self, prefixes: Prefixes) -> Prefixes:
        """Return what stands around query and document; a blank between words belongs to the word after it."""
        if any(prefixes):
            raise UserError("query_prefix and document_prefix: a template says what stands before texts; expected none")
        head, middle, _ = self._parts
        bare = middle.rstrip(" ")
        return Prefixes(head, middle[len(bare) :], bare)

    def require_split(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Raise UserError for a tokenizer whose tokens of the whole are not those of query and document apart."""
        around = self.wrapped(Prefixes())

        def ids(text: str) -> list[int]:
            return list(tokenizer(text, add_special_tokens=False)["input_ids"])

        for query, document in SAMPLES:
            first, second = f"{around.query}{query}{around.query_end}", f"{around.document}{document}"
            if ids(first) + ids(second) != ids(first + second):
                raise UserError(
                    f"template: {around.query_end[-20:]!r} before {DOCUMENT} runs into the document's first token; "
                    "expected a blank or a line's end there"
                )


class YesNo(PairRanker):
    """A language model as a cross-encoder: score = z_yes - z_no, the logits of two words after a question.

    Of a decoder they are those of the next token (Qwen3-Reranker); of a model with an encoder those of the decoder's
    first step (monoT5; Nogueira et al. 2020: https://arxiv.org/abs/2003.06713, whose score is log sigma of this one).
    """

    architecture: ClassVar[str] = "yes_no"
    options_type = YesNoOptions

    def __init__(self, model: PreTrainedModel, options: YesNoOptions, words: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.options, self.words = model, options, words
        use_our_attention(model)
        self._cached: tuple[tuple[int, ...], DynamicCache] | None = None

    @property
    def encoder(self) -> PreTrainedModel:
        """The model below the head that predicts words."""
        return cast(PreTrainedModel, self.model.base_model)

    def score(self, batch: TokenBatch) -> Tensor:
        """Return a raw score per pair, shape `[B]`: higher is better."""
        logits = self.logits(batch)
        return logits[:, 1] - logits[:, 0]

    def logits(self, batch: TokenBatch) -> Tensor:
        """Return the logits of no and yes, shape `[B, 2]`."""
        words = torch.tensor(self.words, device=batch.input_ids.device)
        if self.config.is_encoder_decoder:
            start = torch.full_like(batch.input_ids[:, :1], self.config.decoder_start_token_id)
            inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
            found = self.model(**inputs, decoder_input_ids=start, use_cache=False).logits[:, 0]
        else:
            found = self._next(batch)
        return cast(Tensor, found[:, words])

    def _next(self, batch: TokenBatch) -> Tensor:
        """Return a decoder's logits of the token after each text, shape `[B, V]`."""
        shared = self._shared(batch)
        rest = TokenBatch(batch.input_ids[:, shared:], batch.attention_mask[:, shared:]).padded_left()
        places = shared + (rest.attention_mask.cumsum(1) - 1).clamp(min=0)
        more: dict[str, Any] = {"position_ids": places} if "position_ids" in _parameters(self.model) else {}
        mask = rest.attention_mask
        if shared:
            cache = copy.deepcopy(self._prefix(batch.input_ids[:1, :shared]))
            cache.batch_repeat_interleave(len(batch))
            mask = torch.cat([mask.new_ones(len(batch), shared), mask], dim=1)
            more[_cache_name(self.model)] = cache
        found = self.model(
            input_ids=rest.input_ids, attention_mask=mask, use_cache=bool(shared), logits_to_keep=1, **more
        )
        return cast(Tensor, found.logits[:, -1])

    def _shared(self, batch: TokenBatch) -> int:
        """Return how many tokens all texts begin with, 0 where too few or where nothing is gained by keeping them."""
        kinds = getattr(self.config, "layer_types", None) or ["full_attention"]
        if len(batch) == 1 or torch.is_grad_enabled() or {*kinds} != {"full_attention"}:
            return 0
        same = (batch.input_ids == batch.input_ids[:1]).all(0)
        count = int(same.long().cumprod(0).sum())
        count = min(count, int(batch.attention_mask.sum(1).min()) - 1)
        return count if count >= SHARED else 0

    def _prefix(self, ids: Tensor) -> DynamicCache:
        """Return keys and values of tokens that texts begin with; those of the last batch are kept."""
        key = (*ids[0].tolist(),)
        if self._cached is None or self._cached[0] != key:
            cache = DynamicCache(config=self.config)
            self.model(input_ids=ids, use_cache=True, logits_to_keep=1, **{_cache_name(self.model): cache})
            self._cached = key, cache
        return self._cached[1]

    @classmethod
    def begin(cls, origin: "Origin", options: Options | None) -> Self:
        """Raise UserError: a model that is asked teaches, and is not taught here."""
        raise UserError("a yes_no teaches by its scores, and is not a student: take a bert_cat, bert_dot or colbert")

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether sentence-transformers takes the difference of two words' logits for a folder's score."""
        return checkpoint.declared.is_yes_no

    @classmethod
    def published_options(cls, checkpoint: Checkpoint) -> YesNoOptions:
        """Return how a folder says that it is asked, or the preset of its family."""
        if checkpoint.declared.is_yes_no:
            return _declared(checkpoint)
        preset = PRESET_OF.get(str(checkpoint.config.get("model_type")))
        if preset is None:
            raise UserError(
                f"{checkpoint.folder} does not say how it is asked: give [teacher] template, a text with {QUERY} and "
                f"{DOCUMENT}, and the words yes and no"
            )
        return YesNoOptions(preset)

    @classmethod
    def options_build_on_others(cls, chosen: Mapping[str, Any]) -> bool:
        """Another template has an instruction and words of its own."""
        return "template" not in chosen

    @classmethod
    def published_lengths(cls, checkpoint: Checkpoint) -> dict[str, int]:
        """Return the length that pairs are cut to."""
        return {"max_length": int(checkpoint.declared.encoder.get("max_seq_length") or checkpoint.own_length)}

    @classmethod
    def load(cls, checkpoint: Checkpoint, options: Options | None, dropout: float | None, dtype: torch.dtype) -> Self:
        """Return the language model in a folder; raises UserError for another, and for words of several tokens."""
        folder, chosen = checkpoint.folder, cast(YesNoOptions, options or cls.published_options(checkpoint))
        try:
            with silent():
                config = AutoConfig.from_pretrained(folder, **LOCAL)
                kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
                model, report = from_folder(kind, folder, config, dtype)
        except (*LOADING_ERRORS, UserError) as error:
            raise UserError(f"{folder} cannot be loaded as a language model: {first_line(error)}") from error
        if drawn := drawn_weights(report):
            raise UserError(f"{folder} is not a language model that predicts words: the weight {drawn[0]} is missing")
        tokenizer = load_tokenizer(folder)
        chosen.require_split(tokenizer)
        ranker = cls(model.eval(), chosen, (_word(tokenizer, chosen.no, "no"), _word(tokenizer, chosen.yes, "yes")))

        def alone(batch: TokenBatch) -> Tensor:
            inputs: dict[str, Tensor] = {"input_ids": batch.input_ids}
            if config.is_encoder_decoder:
                inputs["decoder_input_ids"] = torch.full_like(batch.input_ids[:, :1], config.decoder_start_token_id)
            return cast(Tensor, model(**inputs).logits[:, -1, [*ranker.words]])

        require_alike(model, ranker.logits, alone, folder)
        return ranker

    def write(self, folder: Path, lengths: Mapping[str, int]) -> None:
        """Raise UserError: what was not trained here is not saved here."""
        raise UserError("a yes_no is not trained here, so there is nothing to export: use its own folder")


def _parameters(model: PreTrainedModel) -> Mapping[str, Any]:
    return inspect.signature(model.forward).parameters


def _cache_name(model: PreTrainedModel) -> str:
    # Newer versions of transformers call it so.
    return "cache" if "cache" in _parameters(model) else "past_key_values"


def _word(tokenizer: PreTrainedTokenizerFast, word: str, key: str) -> int:
    """Return the token that a word is; raises UserError for one of several."""
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        ids = [one for one in [tokenizer.convert_tokens_to_ids(word)] if one not in (None, tokenizer.unk_token_id)]
    if len(ids) != 1:
        raise UserError(f"{key} = {word!r}: expected a word that is one token of the teacher's vocabulary")
    return int(ids[0])


def _declared(checkpoint: Checkpoint) -> YesNoOptions:
    """Return how sentence-transformers asks: by the folder's own template of chats, for the words that it names."""
    declared, folder = checkpoint.declared, checkpoint.folder
    tokenizer, module = load_tokenizer(folder), declared.modules[-1]
    yes, no = (module.settings.get(name) for name in ("true_token_id", "false_token_id"))
    if yes is None or no is None:
        raise UserError(f"{module.folder}: expected true_token_id and false_token_id, whose difference is the score")
    prompt = declared.prefixes("bert_cat").query
    messages = [{"role": "system", "content": prompt}] if prompt else []
    messages += [{"role": "query", "content": QUERY}, {"role": "document", "content": DOCUMENT}]
    try:
        template = tokenizer.apply_chat_template(messages, tokenize=False)
    except Exception as error:  # a template is a program of the model's
        raise UserError(f"{folder}: its template of chats takes no query and document: {first_line(error)}") from None
    words = tokenizer.convert_ids_to_tokens([yes, no])
    return YesNoOptions(str(template), yes=words[0], no=words[1], specials=False)
