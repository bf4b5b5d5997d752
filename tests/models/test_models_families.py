"""Encoders that can be split into lower and upper layers, and weights that a configuration does not describe."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_models import tiny_batch, tiny_config
from transformers import AutoModel, AutoModelForSequenceClassification

from distilkit.errors import UserError
from distilkit.models import student_options
from distilkit.models.agree import require_encoder
from distilkit.models.cat import load_cat
from distilkit.models.encoder import encoder_of, last_states
from distilkit.models.load import load_encoder
from distilkit.models.prettr import SPLITTABLE, PreTtr, PreTtrOptions

SIZE = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}
SPECIALS = {"bos_token_id": 2, "eos_token_id": 3}
SMALL = {"d_model": 16, "vocab_size": 40, **SPECIALS}


def config_of(family: str) -> Any:
    match family:
        case "mobilebert":
            return transformers.MobileBertConfig(**SIZE, embedding_size=8, intra_bottleneck_size=8)
        case "modernbert":
            return transformers.ModernBertConfig(**SIZE, **SPECIALS, cls_token_id=2, sep_token_id=3)
        case "camembert" | "xlm-roberta":
            name = {"camembert": "CamembertConfig", "xlm-roberta": "XLMRobertaConfig"}[family]
            return getattr(transformers, name)(**SIZE, type_vocab_size=1)
        case "deberta-v2":
            return transformers.DebertaV2Config(**SIZE, relative_attention=True, pos_att_type=["p2c", "c2p"])
        case "mpnet":
            return transformers.MPNetConfig(**SIZE)
        case "convbert":
            return transformers.ConvBertConfig(**SIZE, embedding_size=16)
        case "gpt2":
            return transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, pad_token_id=0, **SPECIALS)
        case "t5":
            return transformers.T5Config(**SMALL, d_kv=8, d_ff=32, num_layers=2, num_heads=2, pad_token_id=0)
        case _:
            return tiny_config(family, pad_token_id=0)


def save(folder: Path, family: str, kind: Any = AutoModel) -> Path:
    torch.manual_seed(0)
    config = config_of(family)
    config.num_labels = 1
    kind.from_config(config).save_pretrained(folder)
    return folder


def tiny_batch_without_types(batch: Any) -> Any:
    return type(batch)(batch.input_ids, batch.attention_mask)


@pytest.mark.parametrize("family", SPLITTABLE)
def test_layers_one_by_one_are_the_encoder(family: str) -> None:
    torch.manual_seed(0)
    encoder: Any = encoder_of(config_of(family)).eval()
    require_encoder(encoder, family)
    ranker = PreTtr(encoder, PreTtrOptions(document_offset=0, join_layer=1)).eval()
    batch = tiny_batch_without_types(tiny_batch([4, 7]))
    half = ranker.encode_query(batch)
    states = ranker._run(half.states, half.mask, ranker.layers()[1:])  # type: ignore[arg-type]
    mask = batch.attention_mask.bool()
    torch.testing.assert_close(states[mask], last_states(encoder, batch)[mask], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert", "mpnet", "albert"])
def test_encoders_that_cannot_be_split(family: str) -> None:
    options: Any = student_options("prettr")
    with pytest.raises(UserError, match=f"prettr needs an encoder whose layers can be run one by one .*, not {family}"):
        PreTtr(encoder_of(config_of(family)), options)


def with_weights(folder: Path, **more: torch.Tensor) -> Path:
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, **more}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_weights_of_layers_that_the_configuration_has_not(tmp_path: Path) -> None:
    folder = save(tmp_path / "cat", "bert", AutoModelForSequenceClassification)
    harmless = {"bert.embeddings.position_ids": torch.arange(40)[None], "fit_dense.weight": torch.ones(2, 2)}
    load_cat(with_weights(folder, **harmless), require_head=True)
    load_encoder(folder)
    with_weights(folder, **{"bert.encoder.layer.4.output.dense.weight": torch.ones(16, 64)})
    message = r"cat: the weight bert\.encoder\.layer\.4\.output\.dense\.weight is unexpected"
    with pytest.raises(UserError, match=message):
        load_cat(folder, require_head=True)
    with pytest.raises(UserError, match=r"cat: the weight \S*layer\.4\.output\.dense\.weight is unexpected"):
        load_encoder(folder)


def test_more_of_a_head_than_the_architecture_has(tmp_path: Path) -> None:
    folder = save(tmp_path / "cat", "bert", AutoModelForSequenceClassification)
    with_weights(folder, **{"classifier.dense.weight": torch.ones(16, 16)})
    with pytest.raises(UserError, match=r"the weight classifier\.dense\.weight is unexpected"):
        load_cat(folder, require_head=True)
