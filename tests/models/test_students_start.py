"""The weights of the side rankers before training, from any encoder."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from published_layouts import write_dot
from tiny_models import FAMILIES
from tiny_students import ranker_of, sides

from distilkit.errors import UserError
from distilkit.models import STUDENTS, student_options
from distilkit.models.cat import BertCat
from distilkit.models.colbert import ColBertOptions
from distilkit.models.dot import DotOptions
from distilkit.models.initialise import student_from
from distilkit.models.prettr import PreTtrOptions
from distilkit.models.save import save_ranker
from distilkit.models.tk import Tk, TkOptions

OPTIONS: dict[str, Any] = {
    "bert_dot": DotOptions(dim=4),
    "colbert": ColBertOptions("papers", dim=4),
    "prettr": PreTtrOptions(join_layer=1, document_offset=10),
    "tk": TkOptions(feed_forward=12),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("architecture", OPTIONS)
def test_any_shape_of_any_family(tiny: Any, architecture: str, family: str) -> None:
    source = BertCat(tiny(family))
    if (architecture, family) == ("prettr", "albert"):
        with pytest.raises(UserError, match=r"whose layers can be run one by one .* not albert"):
            student_from(source, architecture=architecture)
        return
    torch.manual_seed(1)
    options = OPTIONS[architecture]
    student: Any = student_from(source, architecture=architecture, options=options, shape="L2_H8", dropout=0.0)
    assert student.training
    assert (student.num_layers, student.hidden_size) == (2, 8)
    assert student.architecture == architecture
    torch.manual_seed(1)
    again: Any = student_from(source, architecture=architecture, options=options, shape="L2_H8", dropout=0.0)
    torch.testing.assert_close(student.score(sides()), again.score(sides()), rtol=0, atol=0)
    other: Any = student_from(source, architecture=architecture, options=options, shape="L2_H8", dropout=0.0)
    assert not torch.equal(student.score(sides()), other.score(sides()))


@pytest.mark.parametrize("architecture", ["bert_dot", "colbert", "prettr"])
@pytest.mark.parametrize(("start", "chosen"), [("first_layers", (0, 1)), ("every_nth_layer", (1, 3))])
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_copied_layers(tiny: Any, architecture: str, start: str, chosen: tuple[int, ...], family: str) -> None:
    source = BertCat(tiny(family))
    options = OPTIONS[architecture]
    student: Any = student_from(source, architecture=architecture, options=options, shape="L2_H16", start=start)
    stacks = [
        getattr(model, "encoder" if family == "bert" else "transformer") for model in (student.encoder, source.encoder)
    ]
    for mine, layer in enumerate(chosen):
        pairs = zip(stacks[0].layer[mine].parameters(), stacks[1].layer[layer].parameters(), strict=True)
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    words = student.encoder.get_input_embeddings().weight
    assert torch.equal(words, source.encoder.get_input_embeddings().weight)
    assert words.data_ptr() != source.encoder.get_input_embeddings().weight.data_ptr()
    with pytest.raises(UserError, match="the student's hidden size must be the source's: 8 is not 16"):
        student_from(source, architecture=architecture, shape="L2_H8", start=start)


def test_checkpoints_as_the_start(tmp_path: Path, saved: Any, tiny: Any, tokenizer: Any) -> None:
    source, batch = BertCat(tiny()), sides()
    # Of the same architecture: the student itself.
    save_ranker(ranker_of("dot-8"), tokenizer, tmp_path / "dot")
    student: Any = student_from(source, architecture="bert_dot", start=str(tmp_path / "dot"), dropout=0.0)
    assert student.training
    torch.testing.assert_close(student.score(batch), ranker_of("dot-8").score(batch), rtol=0, atol=1e-5)
    # Of another one, or of none: its encoder.
    for folder in (tmp_path / "dot", saved("cat", num_hidden_layers=2)):
        student = student_from(
            source, architecture="colbert", options=OPTIONS["colbert"], start=str(folder), dropout=0.0
        )
        assert student.compressor.out_features == 4
    assert student.num_layers == 2
    torch.testing.assert_close(
        student.encoder.embeddings.word_embeddings.weight,
        tiny(num_hidden_layers=2).bert.embeddings.word_embeddings.weight,
    )
    cat = student_from(source, start=str(tmp_path / "dot"))
    assert cat.architecture == "bert_cat"
    # A student from another student's encoder, and from a folder.
    prettr: Any = student_from(student, architecture="prettr", start="first_layers", dropout=0.0)
    assert torch.equal(prettr.encoder.state_dict()["encoder.layer.1.output.dense.weight"],
                       student.encoder.state_dict()["encoder.layer.1.output.dense.weight"])  # fmt: skip
    write_dot(tmp_path / "published")
    published: Any = student_from(tmp_path / "published", architecture="bert_dot", start="first_layers", shape="L2_H8")
    assert (published.num_layers, published.config.model_type) == (2, "distilbert")
    with pytest.raises(UserError, match=r"to have the shape L3_H16, but .* has L4_H16"):
        student_from(source, architecture="bert_dot", start=str(tmp_path / "dot"), shape="L3_H16")
    with pytest.raises(UserError, match=r"share one vocabulary: .* has 41 entries"):
        student_from(source, architecture="bert_dot", start=str(saved("chinese", vocab_size=41)))


def test_tk_takes_the_sources_word_embeddings(tiny: Any) -> None:
    source = BertCat(tiny("electra"))
    table = source.encoder.get_input_embeddings().weight
    student = student_from(source, architecture="tk", start="first_layers")
    assert isinstance(student, Tk)
    # At ELECTRA's own width, which is half its states', and as large as GloVe's values.
    ours = student.word_embeddings.weight
    assert ours.shape == (40, 8)
    assert ours.square().mean().sqrt().item() == pytest.approx(0.4)
    cosines = torch.nn.functional.cosine_similarity(ours[5:20], ours[6:21])
    torch.testing.assert_close(cosines, torch.nn.functional.cosine_similarity(table[5:20], table[6:21]))
    projected: Any = student_from(source, architecture="tk", options=TkOptions(dim=20, layers=1))
    assert (projected.hidden_size, projected.num_heads, projected.num_layers) == (20, 10, 1)
    assert projected.config.embedding_size == 8
    again: Any = student_from(student, architecture="tk", shape="L1_H8")
    assert torch.equal(again.word_embeddings.weight, ours)


def test_tk_from_a_tokenizer_or_itself(tmp_path: Path, tiny: Any, tokenizer: Any) -> None:
    source = BertCat(tiny())
    drawn: Any = student_from(source, architecture="tk", options=TkOptions(embeddings="random"), tokenizer=tokenizer)
    assert drawn.word_embeddings.weight.shape == (len(tokenizer), 300)
    assert not drawn.word_embeddings.weight[tokenizer.pad_token_id].isnan().any()
    save_ranker(drawn, tokenizer, tmp_path / "tk")
    again: Any = student_from(source, architecture="tk", start=str(tmp_path / "tk"))
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in drawn.state_dict().items())
    with pytest.raises(UserError, match="the shape L3_H300, but"):
        student_from(source, architecture="tk", start=str(tmp_path / "tk"), shape="L3_H300")
    with pytest.raises(UserError, match="a tk has no encoder that another student could start from"):
        student_from(drawn, architecture="bert_dot")
    with pytest.raises(UserError, match="heads = 7 does not divide the states of 16 dimensions"):
        student_from(source, architecture="tk", options=TkOptions(heads=7))


def test_prettr_joins_in_the_middle(tiny: Any) -> None:
    assert student_from(BertCat(tiny()), architecture="prettr").options.join_layer == 2
    with pytest.raises(UserError, match="join_layer is from 0 to 3, so that a layer joins, not 4"):
        student_from(BertCat(tiny()), architecture="prettr", options=PreTtrOptions(join_layer=4))


def test_names_and_options() -> None:
    assert STUDENTS.resolve("bi_encoder") == "bert_dot"
    assert STUDENTS.resolve("late_interaction") == "colbert"
    for name in STUDENTS:
        options = student_options(name)
        assert student_options(name, asdict(options)) == options
    stanford = ColBertOptions(form="stanford", dim=64)
    assert (stanford.dim, stanford.bias, stanford.query_masks, stanford.normalise) == (64, False, "fill", True)
    assert student_options("colbert", asdict(stanford)) == stanford
    assert ColBertOptions("papers", markers=True).query_masks == 8


@pytest.mark.parametrize(
    ("architecture", "values", "message"),
    [
        ("colbert", {"dims": 3}, "colbert has no option 'dims'; did you mean 'dim'"),
        ("colbert", {"form": "paper"}, "form is one of papers, stanford, not 'paper'"),
        ("colbert", {"query_masks": -1}, "query_masks is a number from 0 or 'fill', not -1"),
        ("colbert", {"dim": 0}, "dim is a positive number, not 0"),
        ("colbert", {"mask_position": "end"}, "mask_position is one of before_sep, after_sep"),
        ("bert_cat", {"dim": 0}, "bert_cat has no option 'dim'"),
        ("prettr", {"document_offset": "pair"}, "document_offset is a position from 0 or 'batch', not 'pair'"),
        ("tk", {"vocabulary": "word"}, "a vocabulary of words has no embeddings in the source"),
        ("tk", {"heads": "ten"}, "heads is a positive number, not 'ten'"),
        ("tk", {"document_position": -5}, "document_position is a position from 0, not -5"),
        ("tk", {"mix": "yes"}, "mix is true or false, not 'yes'"),
        ("colbert", {"bias": 1}, "bias is true or false, not 1"),
        ("prettr", {"join_layer": "middle"}, "join_layer is a number from 0, not 'middle'"),
        ("bert_dott", {}, "no student architecture is called 'bert_dott'; did you mean 'bert_dot'"),
    ],
)
def test_wrong_options_are_named(architecture: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        student_options(architecture, values)


def test_options_of_another_architecture(tiny: Any) -> None:
    with pytest.raises(UserError, match="colbert has no DotOptions"):
        student_from(BertCat(tiny()), architecture="colbert", options=DotOptions())
