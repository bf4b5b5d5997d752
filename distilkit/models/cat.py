"""BERT_CAT: a transformer that reads query and passage together, and scores them from the first token."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from distilkit.data.side_tokens import DOCUMENT_LENGTH, QUERY_LENGTH
from distilkit.errors import UserError, first_line
from distilkit.files import read_json, write_json
from distilkit.model_card import Card
from distilkit.models.agree import require_alike
from distilkit.models.attention import (
    Vectors,
    able_to_read_first_token,
    capture_scores,
    first_token_alone,
    use_our_attention,
)
from distilkit.models.batch import TokenBatch
from distilkit.models.checkpoint import LOCAL, Checkpoint
from distilkit.models.encoder import encoder_inputs
from distilkit.models.load import (
    LOADING_ERRORS,
    drawn_weights,
    from_folder,
    require_known,
    require_whole,
)
from distilkit.models.options import Options, PairOptions
from distilkit.models.pair_ranker import PairRanker
from distilkit.models.published_cat import is_papers_cat, papers_classifier
from distilkit.models.references import local_folder
from distilkit.models.shape import Shape, reshaped, set_dropout
from distilkit.models.silence import silent

if TYPE_CHECKING:
    from distilkit.models.initialise import Origin

# The names under which transformers' sequence classifiers keep their last layers.
HEADS = ("classifier.", "score.", "classification_head.", "logits_proj.", "sequence_summary.", "pre_classifier.")
# Families that read the last token of a text wherever its padding is, so that padding has to come first.
PADDED_LEFT = ("xlnet",)
# Without it sentence-transformers applies a sigmoid to the scores, which then tie where it saturates.
ACTIVATION = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}

# How sentence-transformers runs a classifier that has modules.json, which its prompts need.
CLASSIFIER = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}
# Of those that sentence-transformers applies, the ones that leave the order of raw logits as it is.
ACTIVATIONS = ("Identity", "Sigmoid")

Head = Literal["plain", "relu"]


@dataclass(frozen=True)
class CatOptions(PairOptions):
    """BERT_CAT has no options: its head is the encoder family's own."""


@dataclass(frozen=True)
class CatOutputs:
    """The outputs of a forward pass: logits `[B, C]`, and the attention scores, hidden states and vectors asked for."""

    logits: Tensor
    attentions: tuple[Tensor, ...] = ()
    states: tuple[Tensor, ...] = ()
    vectors: tuple[Vectors, ...] = ()


class BertCat(PairRanker):
    """A cross-encoder around any encoder of transformers with a sequence classification head of one or two labels.

    The score of a pair is the raw logit of a head with one label, and the log-odds z1 - z0 of one with two.

    Nogueira and Cho 2019, Passage Re-ranking with BERT: https://arxiv.org/abs/1901.04085
    """

    architecture: ClassVar[str] = "bert_cat"
    options_type = CatOptions
    shows_internals = True
    library = "sentence-transformers"
    tags = ("sentence-transformers", "cross-encoder")
    targets: ClassVar[Mapping[str, str]] = {
        "cross-encoder": "sentence_transformers.CrossEncoder({folder!r})",
        "transformers": "transformers.AutoModelForSequenceClassification.from_pretrained({folder!r})",
    }
    graph_output = "logits"
    declares: ClassVar[Mapping[str, Any]] = {"sentence_transformers": ACTIVATION}

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.options = CatOptions()
        if model.config.num_labels not in (1, 2):
            raise UserError(f"a ranker's head has 1 or 2 labels, not {model.config.num_labels}")
        self.model = model
        use_our_attention(model)
        able_to_read_first_token(model)

    @property
    def config(self) -> PretrainedConfig:
        """The configuration that transformers keeps."""
        return self.model.config

    @property
    def encoder(self) -> PreTrainedModel:
        """The model below the classification head (BERT's pooler is part of it)."""
        return self.model.base_model

    @property
    def num_labels(self) -> int:
        """The number of logits: 1 or 2."""
        return int(self.config.num_labels)

    def score(self, batch: TokenBatch) -> Tensor:
        """Return a raw score per pair, shape `[B]`: higher is better."""
        return self.graph(batch)[:, 0]

    def graph(self, batch: TokenBatch) -> Tensor:
        """Return a raw score per pair, shape `[B, 1]`."""
        return self.scores_of(self.logits(batch)).unsqueeze(1)

    def scores_of(self, logits: Tensor) -> Tensor:
        """Return the raw score per pair, shape `[B]`, of logits `[B, C]`."""
        return logits[:, -1] - logits[:, 0] if self.num_labels == 2 else logits[:, 0]

    def logits(self, batch: TokenBatch, head: Head = "plain") -> Tensor:
        """Return the head's logits, shape `[B, C]`."""
        return cast(CatOutputs, self(batch, head=head)).logits

    def class_logits(self, logits: Tensor) -> Tensor:
        """Return logits of the classes (not relevant, relevant), shape `[B, 2]`, whatever the number of labels.

        A single logit z becomes (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z)).
        """
        return logits if self.num_labels == 2 else torch.cat([torch.zeros_like(logits), logits], dim=-1)

    def forward_internals(
        self,
        batch: TokenBatch,
        attention_layers: Sequence[int],
        states: Sequence[int],
        head: Head = "plain",
        vectors_of: Sequence[int] = (),
    ) -> CatOutputs:
        """Return the logits with the raw attention scores of some layers (from 0) and some hidden states.

        State 0 is the embeddings' output after its LayerNorm, state i the output of layer i. Of layers of `vectors_of`,
        from 0, there are queries, keys and values.
        """
        return cast(CatOutputs, self(batch, attention_layers, states, head, vectors_of))

    def forward(
        self,
        batch: TokenBatch,
        attention_layers: Sequence[int] = (),
        states: Sequence[int] = (),
        head: Head = "plain",
        vectors_of: Sequence[int] = (),
    ) -> CatOutputs:
        """Return logits and internals; methods above call it, so that distributed training can wrap the module.

        The head `relu` is classifier(relu(pooled)) without dropout, with which the released code of TinyBERT and
        Simplified TinyBERT trains (BERT only); `plain` is the model's own, with which it scores.
        """
        if self.config.model_type in PADDED_LEFT:
            batch = batch.padded_left()
        options: dict[str, Any] = {"output_hidden_states": True} if states else {}
        reads_attention = bool(attention_layers or vectors_of)
        nothing_else = not reads_attention and not states
        with (
            first_token_alone() if nothing_else else nullcontext(),
            capture_scores(attention_layers, vectors_of) if reads_attention else nullcontext() as capture,
        ):
            whole = self.model if head == "plain" else self.encoder
            outputs = whole(**encoder_inputs(whole, batch), **options)
        logits = outputs.logits if head == "plain" else self._relu_head(outputs)
        return CatOutputs(
            logits=logits,
            attentions=capture.ordered() if capture is not None else (),
            states=tuple(outputs.hidden_states[state] for state in states),
            vectors=capture.ordered_vectors() if capture is not None else (),
        )

    def _relu_head(self, outputs: Any) -> Tensor:
        pooled = getattr(outputs, "pooler_output", None)
        classifier = getattr(self.model, "classifier", None)
        if pooled is None or not isinstance(classifier, nn.Linear):
            raise UserError(f"the head 'relu' is for BERT models, not for {self.config.model_type}")
        return cast(Tensor, classifier(torch.relu(pooled)))

    @classmethod
    def begin(cls, origin: "Origin", options: Options | None) -> Self:
        """Return a cross-encoder with a new head on a drawn or copied encoder, or the checkpoint it starts from."""
        source = origin.source
        encoder = load_cat(source, num_labels=1).encoder if isinstance(source, Path) else origin.source_encoder()
        if origin.is_checkpoint:
            student = load_cat(local_folder(origin.start), num_labels=origin.num_labels, dropout=origin.dropout)
            origin.require_fit(student.config, encoder.config.vocab_size)
            return cast(Self, student)
        shape = origin.shape or Shape.of(encoder.config)
        config = reshaped(encoder.config, shape, origin.taken(encoder.config, shape.layers))
        config.num_labels = origin.num_labels
        config.dtype = "float32"
        set_dropout(config, origin.dropout)
        with silent():
            student = cls(AutoModelForSequenceClassification.from_config(config))
        origin.copy_layers(encoder, student.encoder)
        return student

    @classmethod
    def hollow(cls, config: PretrainedConfig, options: Options) -> Self:
        """Return a cross-encoder whose weights mean nothing."""
        return cls(AutoModelForSequenceClassification.from_config(config))

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether a folder holds a sequence classifier, or the Margin-MSE paper's BERT_CAT."""
        return checkpoint.model_class.endswith("ForSequenceClassification") or is_papers_cat(checkpoint)

    @classmethod
    def published_lengths(cls, checkpoint: Checkpoint) -> dict[str, int]:
        """Return the length that pairs were cut to; the paper's pairs are its queries and passages."""
        if not checkpoint.entry and is_papers_cat(checkpoint):
            return {"max_length": QUERY_LENGTH + DOCUMENT_LENGTH}
        return super().published_lengths(checkpoint)

    @classmethod
    def _declared_lengths(cls, checkpoint: Checkpoint) -> dict[str, int]:
        most = checkpoint.declared.encoder.get("max_seq_length")
        if most is None and checkpoint.entry:
            return {}
        return {"max_length": int(most or checkpoint.own_length)}

    @classmethod
    def declared_options(cls, checkpoint: Checkpoint) -> dict[str, Any]:
        """Return no options; raises UserError for a cross-encoder of sentence-transformers that computes more."""
        checkpoint.declared.require_cat()
        own = {**(checkpoint.config.get("sentence_transformers") or {}), **checkpoint.declared.settings}
        name = own.get("activation_fn") or checkpoint.config.get("sbert_ce_default_activation_function")
        if name is not None and str(name).rsplit(".", 1)[-1] not in ACTIVATIONS:
            raise UserError(
                f"{checkpoint.folder / 'config.json'}: the activation {name} changes the order of scores, or is not "
                f"known; expected {' or '.join(ACTIVATIONS)}, which do not"
            )
        return {}

    @classmethod
    def published_options(cls, checkpoint: Checkpoint) -> Options:
        """Return no options: what is read is the raw logit."""
        return CatOptions(**cls.declared_options(checkpoint))

    @property
    def exports(self) -> Mapping[str, str]:
        """CrossEncoder has a prompt for queries alone, and transformers none."""
        if not any(self.prefixes):
            return self.targets
        return {
            name: loads
            for name, loads in self.targets.items()
            if name == "cross-encoder" and not self.prefixes.document
        }

    @classmethod
    def holds_encoder(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether transformers does not find the encoder in a folder, as in the paper's layout."""
        return is_papers_cat(checkpoint)

    @classmethod
    def load(cls, checkpoint: Checkpoint, options: Options | None, dropout: float | None, dtype: torch.dtype) -> Self:
        """Return the trained cross-encoder in a folder, its head included."""
        return cast(Self, load_cat(checkpoint.folder, dropout=dropout, dtype=dtype, require_head=True))

    def write(self, folder: Path, lengths: Mapping[str, int]) -> None:
        """Write a sequence classifier with one label, which CrossEncoder scores alike.

        A head with two labels is saved as the one of their difference, which is its score.
        """
        self._with_one_label().save_pretrained(folder)
        config = read_json(folder / "config.json")
        write_json(folder / "config.json", {**config, **self.declares})
        if any(self.prefixes):
            prompts = {"prompts": {"query": self.prefixes.query}, "default_prompt_name": "query"}
            kind = {"model_type": "CrossEncoder", "activation_fn": ACTIVATION["activation_fn"]}
            write_json(folder / "config_sentence_transformers.json", {**kind, **prompts})
            transformer = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.Transformer"}
            write_json(folder / "modules.json", [transformer])
            write_json(folder / "sentence_bert_config.json", CLASSIFIER)

    def card(self, lengths: Mapping[str, int]) -> Card:
        """Return what the model card says about the cross-encoder."""
        text = (
            "A cross-encoder that scores how well a passage answers a query, distilled with distilkit. "
            "Its scores are raw logits: higher is better. It loads in transformers "
            "(`AutoModelForSequenceClassification`) and in sentence-transformers (`CrossEncoder`), and cuts pairs to "
            f"{lengths['max_length']} tokens."
        )
        return Card(self.library, (*self.tags, "reranker", "distillation", "distilkit"), text)

    def _with_one_label(self) -> PreTrainedModel:
        """Return the model in float32 with one label, itself where it is that already."""
        plain = all(parameter.dtype == torch.float32 for parameter in self.parameters())
        if plain and self.num_labels == 1:
            return self.model
        single = copy.deepcopy(self.model).float()
        if self.num_labels == 2:
            single.config.num_labels = 1
            single.num_labels = 1
            own = {id(one) for one in single.base_model.modules()}
            head = [one for one in single.modules() if isinstance(one, nn.Linear) and id(one) not in own]
            _subtract_labels([one for one in head if one.out_features == 2][-1])
        return single


def load_cat(
    folder: Path,
    *,
    num_labels: int | None = None,
    dropout: float | None = None,
    dtype: torch.dtype = torch.float32,
    require_head: bool = False,
) -> BertCat:
    """Load a cross-encoder, in evaluation mode; a head that the folder does not hold is drawn at random.

    Args:
        folder: a model folder, see `references.local_folder`
        num_labels: the head's number of labels; by default that of the folder's head, or 1 without one
        dropout: sets every dropout probability of the model; by default they stay as configured
        dtype: the dtype of the weights
        require_head: for a model that is used as it is: raise UserError if any weight would be drawn at random
    """
    if (checkpoint := Checkpoint(folder)).released_base is not None and is_papers_cat(checkpoint):
        if num_labels not in (None, 1):
            raise UserError(f"{folder} has a head of 1 label, not {num_labels}")
        return BertCat(papers_classifier(checkpoint, dropout, dtype)).eval()
    try:
        with silent():
            config = AutoConfig.from_pretrained(folder, **LOCAL)
            headed = _has_head(checkpoint, config)
            config.num_labels = num_labels or (config.num_labels if headed else 1)
            set_dropout(config, dropout)
            model, report = from_folder(
                AutoModelForSequenceClassification, folder, config, dtype, ignore_mismatched_sizes=True
            )
    except (*LOADING_ERRORS, UserError) as error:
        raise UserError(f"{folder} cannot be loaded as a cross-encoder: {first_line(error)}") from error
    encoder = f"{model.base_model_prefix}."
    require_whole(folder, report, encoder)
    require_known(folder, report, (encoder, *HEADS) if require_head else ())
    if require_head and not (headed and not drawn_weights(report)):
        raise UserError(f"{folder} is not a trained cross-encoder: it holds no head that scores; fine-tune it first")
    if config.num_labels > 2:
        raise UserError(f"{folder} has a head of {config.num_labels} labels: a ranker's has 1 or 2")
    ranker = BertCat(model).eval()
    require_alike(model, ranker.logits, lambda batch: model(**encoder_inputs(model, batch)).logits, folder)
    return ranker


def _has_head(checkpoint: Checkpoint, config: PretrainedConfig) -> bool:
    """Tell whether a folder's weights have the head of a sequence classifier (a token classifier looks alike)."""
    classified = all(name.endswith("ForSequenceClassification") for name in config.architectures or ())
    return classified and any(name.startswith(HEADS) for name in checkpoint.shapes)


@torch.no_grad()
def _subtract_labels(layer: nn.Linear) -> None:
    layer.weight = nn.Parameter(layer.weight[1:] - layer.weight[:1])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[1:] - layer.bias[:1])
    layer.out_features = 1
