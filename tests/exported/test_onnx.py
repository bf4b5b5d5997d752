"""Rankers as ONNX files score as they do in PyTorch, and are rankers to every verb that scores."""

import json
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_rankers import save_tiny

import distilkit
from distilkit.api.rankers import LoadedRanker
from distilkit.evaluation.trec import read_run
from distilkit.models.batch import TokenBatch
from distilkit.models.ranker import Ranker

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'distilkit[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'distilkit[onnx]'")

Cli = Callable[..., Any]
LONG = "the cat sat on a mat and the dog ran off with my red ball "
QUERIES = ["how many cats sit", "a", LONG * 4]
PASSAGES = ["the cat sat on the mat", "", LONG, LONG * 9, "dog", "the river runs past the old city at noon"]
PAIRS = [(query, passage) for query in QUERIES for passage in PASSAGES]
CLOSE = 1e-4
FILES = {"teacher": "bert_cat", "fp32": "bert_cat.onnx", "int8": "int8"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path, cli: Cli) -> Path:
    """Return tiny rankers, and each as an ONNX folder named NAME.onnx; of bert_cat there is an int8 one, too."""
    folder = tmp_path_factory.mktemp("onnx")
    for architecture in ("bert_cat", "bert_dot", "colbert"):
        save_tiny(folder / architecture, tiny_checkpoint, architecture)
        export(cli, folder / architecture, folder / f"{architecture}.onnx")
    export(cli, folder / "bert_cat", folder / "int8", "--quantize", "int8")
    return folder


def export(cli: Cli, model: Path, output: Path, *more: str) -> str:
    """Export a model, and return what was printed."""
    outcome = cli("export", model, "--format", "onnx", "--output", output, *more)
    assert outcome.code == 0, outcome.err
    printed: str = outcome.out
    return printed


def load(folder: Path, **options: Any) -> LoadedRanker:
    """Return a ranker on the CPU in float32, a few pairs a pass, so that batches differ in their lengths."""
    return distilkit.load(folder, batch_size=4, device="cpu", **options)


@pytest.mark.parametrize("architecture", ["bert_cat", "bert_dot", "colbert"])
def test_scores_are_those_of_pytorch(architecture: str, models: Path) -> None:
    ours, exported = load(models / architecture), load(models / f"{architecture}.onnx")
    assert exported.module.backend == "onnx"
    assert (exported.architecture, exported.lengths) == (architecture, ours.lengths)
    assert exported.module.parameter_count == ours.module.parameter_count
    expected, found = ours.score(PAIRS), exported.score(PAIRS)
    assert len(np.unique(expected.round(3))) > len(PAIRS) // 2
    np.testing.assert_allclose(found, expected, atol=CLOSE * max(1, np.abs(expected).max()), rtol=0)


def test_other_lengths_and_prefixes_are_obeyed(models: Path) -> None:
    changed = {"query_length": 5, "document_length": 9, "query_prefix": "red ", "document_prefix": "the "}
    ours, exported = (load(models / name, **changed) for name in ("bert_dot", "bert_dot.onnx"))
    expected = ours.score(PAIRS)
    np.testing.assert_allclose(exported.score(PAIRS), expected, atol=CLOSE * np.abs(expected).max(), rtol=0)
    assert not np.allclose(expected, load(models / "bert_dot").score(PAIRS))


def test_prefixes_of_the_model_are_declared_again(
    tmp_path: Path, tiny_checkpoint: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilkit.data.prefixes import Prefixes
    from distilkit.models.load import load_tokenizer
    from distilkit.models.save import save_ranker

    ranker = save_tiny(tmp_path / "plain", tiny_checkpoint, "bert_dot", {"pooling": "mean", "normalise": True})
    ranker.prefixes = Prefixes("red ", "the ")
    lengths = {"query_length": 6, "document_length": 11}
    save_ranker(ranker, load_tokenizer(tiny_checkpoint), tmp_path / "prefixed", **lengths)
    export(cli, tmp_path / "prefixed", tmp_path / "out")
    ours, exported = load(tmp_path / "prefixed"), load(tmp_path / "out")
    assert (exported.module.prefixes, exported.lengths) == (ours.module.prefixes, lengths)
    assert exported.module.options == ours.module.options
    np.testing.assert_allclose(exported.score(PAIRS), ours.score(PAIRS), atol=CLOSE, rtol=0)
    shown = run_example(tmp_path / "out", monkeypatch)
    query, passages = example_texts(tmp_path / "out")
    np.testing.assert_allclose(shown, np.sort(ours.score(query, passages))[::-1], atol=2 * CLOSE, rtol=0)


def tiny(family: str, **sizes: Any) -> Any:
    """Return the configuration of a tiny model of a family, whose weights are large."""
    import transformers

    size = {"vocab_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "pad_token_id": 0}
    size |= {"intermediate_size": 32, "max_position_embeddings": 64, "initializer_range": 0.2, "eos_token_id": None}
    return getattr(transformers, f"{family}Config")(**size | sizes)


def rankers() -> dict[str, Callable[[], Ranker]]:
    """Return rankers whose graphs differ: two labels, positions behind padding, windows, pooling."""
    from transformers import AutoModelForSequenceClassification

    from distilkit.models.cat import BertCat
    from distilkit.models.dot import BertDot, DotOptions
    from distilkit.models.encoder import encoder_of

    def cat(config: Any) -> Ranker:
        return BertCat(AutoModelForSequenceClassification.from_config(config))

    return {
        "two labels": lambda: cat(tiny("Bert", num_labels=2)),
        "RoBERTa": lambda: cat(tiny("Roberta", type_vocab_size=1, num_labels=1)),
        "ModernBERT": lambda: cat(tiny("ModernBert", local_attention=8, num_hidden_layers=4, num_labels=1)),
        "last of a decoder": lambda: BertDot(
            encoder_of(tiny("Qwen2", num_key_value_heads=1)), DotOptions(pooling="last")
        ),
        "mean": lambda: BertDot(encoder_of(tiny("Bert")), DotOptions(pooling="mean", normalise=True, dim=4)),
    }


@pytest.mark.parametrize("kind", ["two labels", "RoBERTa", "ModernBERT", "last of a decoder", "mean"])
def test_graphs_read_batches_of_any_shape(kind: str, tmp_path: Path) -> None:
    from distilkit.models.silence import silent
    from distilkit.onnx.load import Session
    from distilkit.onnx.write import write_graph

    torch.manual_seed(1)
    with silent():
        ranker = rankers()[kind]().eval()
    write_graph(ranker, tmp_path / "model.onnx", kind)
    session = Session(tmp_path / "model.onnx")
    for lengths in ([1], [3, 3], [30, 7, 12, 1, 9]):
        mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
        batch = TokenBatch(torch.randint(4, 40, mask.shape) * mask, mask, torch.zeros_like(mask))
        with torch.no_grad():
            expected = ranker.graph(batch)
        assert len(lengths) == 1 or expected.std() > 0.01
        torch.testing.assert_close(session.run(batch), expected, atol=1e-5, rtol=0)


def test_batches_are_sorted_and_cut_by_length(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = load(models / "bert_cat.onnx")
    widths: list[tuple[int, int]] = []
    session = exported.module.session  # type: ignore[attr-defined]
    run = session.run

    def spied(batch: TokenBatch) -> torch.Tensor:
        widths.append((batch.input_ids.shape[1], int(batch.attention_mask.sum(1).max())))
        found: torch.Tensor = run(batch)
        return found

    monkeypatch.setattr(session, "run", spied)
    exported.score(PAIRS)
    assert len(widths) > 2
    assert [width for width, _ in widths] == sorted((width for width, _ in widths), reverse=True)
    assert all(width == longest for width, longest in widths)
    assert widths[0][0] > widths[-1][0]


def test_rerank_and_retrieve(models: Path, tiny_beir: Path, cli: Cli, tmp_path: Path) -> None:
    shared = ("--data", tiny_beir, "--runs-dir", tmp_path / "runs", "--bf16", "false")
    both = (models / "bert_cat", models / "bert_cat.onnx")
    outcome = cli("rerank", *both, *shared, "--output", tmp_path / "r.trec", "--depth", 6)
    assert outcome.code == 0, outcome.err
    compare_runs(tmp_path / "r.bert_cat.trec", tmp_path / "r.bert_cat.onnx.trec")
    for name, backend in (("bert_dot", "auto"), ("bert_dot.onnx", "onnx")):
        output = tmp_path / f"{name}.trec"
        outcome = cli("retrieve", models / name, *shared, "--output", output, "--depth", 5, "--backend", backend)
        assert outcome.code == 0, outcome.err
    compare_runs(tmp_path / "bert_dot.trec", tmp_path / "bert_dot.onnx.trec")


def test_files_are_systems_like_any_other(models: Path, tiny_beir: Path, cli: Cli, tmp_path: Path) -> None:
    """Size, latency, fidelity and both tests of non-inferiority of 8 bits stand in one report, from three commands."""
    named = [f"{name}={models / folder}" for name, folder in FILES.items()]
    shared = ("--data", tiny_beir, "--runs-dir", tmp_path / "runs", "--bf16", "false")
    outcome = cli("rerank", *named, *shared, "--output", tmp_path / "r.trec", "--depth", 8, "--cost")
    assert outcome.code == 0, outcome.err
    costs = {name: json.loads((tmp_path / f"r.{name}.cost.json").read_text()) for name in FILES}
    sizes = {name: (models / folder / "onnx/model.onnx") for name, folder in FILES.items() if name != "teacher"}
    assert {name: costs[name]["weight_bytes"] for name in sizes} == {n: one.stat().st_size for n, one in sizes.items()}
    assert [costs[name]["precision"] for name in FILES] == ["fp32", "fp32", "int8"]
    assert all(costs[name]["ms_per_query"]["p50"] > 0 for name in FILES)
    assert "beside" not in costs["teacher"]["latency"]
    assert len({one["latency"]["session"] for one in costs.values()}) == 1
    assert costs["int8"]["latency"]["beside"] == "teacher"
    assert len(costs["int8"]["latency"]["own_ms"]) == len(costs["int8"]["latency"]["beside_ms"]) > 1
    runs = [f"{name}={tmp_path / f'r.{name}.trec'}" for name in FILES]
    judged = ("--qrels", tiny_beir / "qrels" / "test.tsv", "--tables", "cost fidelity")
    words = ("compare", *runs, "--baseline", "teacher", "--baseline", "fp32", *judged)
    outcome = cli(*words, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    pairs = {(one["system"], one["baseline"]) for one in found["comparisons"]}
    assert pairs >= {("int8", "teacher"), ("int8", "fp32"), ("fp32", "teacher")}
    assert all(
        one["non_inferior"] is not None for one in found["comparisons"] if one["baseline"] in ("teacher", "fp32")
    )
    text = cli(*words).out
    cost, fidelity = text[text.index("Effectiveness and cost") :], text[text.index("Fidelity to the teacher") :]
    assert ("weights" in cost, "times faster: than teacher" in cost) == (True, True)
    shown = {name: next(line for line in fidelity.splitlines() if line.startswith(name)) for name in ("fp32", "int8")}
    assert "1.0000" in shown["fp32"]
    # A run that has changed since has no cost any more.
    path = tmp_path / "r.int8.trec"
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")
    text = cli(*words).out
    cost = text[text.index("Effectiveness and cost") : text.index("Fidelity to the teacher")]
    assert not any(line.startswith("int8") for line in cost.splitlines())


def compare_runs(ours: Path, exported: Path) -> None:
    """Hold two runs' scores against each other."""
    left, right = read_run(ours), read_run(exported)
    assert left.keys() == right.keys()
    for query in left:
        expected, found = dict(left[query]), dict(right[query])
        shared = expected.keys() & found.keys()
        assert len(shared) >= len(expected) - 1  # two documents of one score may change places at the end
        for document in shared:
            assert found[document] == pytest.approx(expected[document], rel=CLOSE, abs=CLOSE)


def bytes_in_float32(path: Path) -> int:
    """Return how many bytes of a graph's weights are in float32."""
    import onnx

    weights = onnx.load(str(path)).graph.initializer
    return sum(len(one.raw_data) for one in weights if one.data_type == onnx.TensorProto.FLOAT)


def test_int8_is_smaller_and_near(models: Path) -> None:
    sizes = [bytes_in_float32(models / name / "onnx/model.onnx") for name in ("bert_cat.onnx", "int8")]
    assert sizes[1] < 0.3 * sizes[0]  # scales, biases and normalisations are left
    expected, found = load(models / "bert_cat").score(PAIRS), load(models / "int8").score(PAIRS)
    assert load(models / "int8").module.stored == "int8"
    assert np.abs(found - expected).max() > CLOSE
    assert np.corrcoef(found, expected)[0, 1] > 0.9


def test_bench(models: Path, cli: Cli) -> None:
    fast = ("--queries", 1, "--warm-up", 0, "--batch-sizes", "4", "--lengths", "5 9", "--depth", 4, "--json")
    found = {}
    for name in ("bert_cat.onnx", "int8", "bert_dot.onnx"):
        outcome = cli("bench", models / name, *fast)
        assert outcome.code == 0, outcome.err
        found[name] = json.loads(outcome.out)
        assert found[name]["model"]["backend"] == "onnx"
        assert found[name]["model"]["bytes"] == (models / name / "onnx/model.onnx").stat().st_size
        assert found[name]["macs"]["pair"]["agrees"]
        assert found[name]["query_time"]["depths"][0]["parts_p50"]
    assert [one["machine"]["precision"] for one in found.values()] == ["fp32", "int8", "fp32"]


def example_code(folder: Path) -> str:
    """Return the Python of a folder's card."""
    return (folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]


def example_texts(folder: Path) -> tuple[str, list[str]]:
    """Return the query and the passages of the example."""
    names: dict[str, Any] = {}
    exec(
        "\n".join(line for line in example_code(folder).splitlines() if line.startswith(("query =", "passages ="))),
        names,
    )
    return names["query"], names["passages"]


def run_example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Run the example of a folder's card, and return the scores that it prints."""
    monkeypatch.chdir(folder)
    out = StringIO()
    with redirect_stdout(out):
        exec(example_code(folder), {})
    return [float(line.split()[0]) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("architecture", ["bert_cat", "bert_dot"])
def test_the_example_scores_alike(architecture: str, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = models / f"{architecture}.onnx"
    assert len(example_code(folder).splitlines()) <= 22
    query, passages = example_texts(folder)
    expected = np.sort(load(models / architecture).score(query, passages))[::-1]
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(run_example(folder, monkeypatch), expected, atol=2 * CLOSE * scale, rtol=0)


def test_what_cannot_be(models: Path, tiny_checkpoint: Path, tiny_beir: Path, cli: Cli, tmp_path: Path) -> None:
    save_tiny(tmp_path / "tk", tiny_checkpoint, "tk")
    output = ("--output", tmp_path / "out")
    data = ("--data", tiny_beir, "--runs-dir", tmp_path / "runs", *output)
    damaged = tmp_path / "damaged"
    export(cli, models / "bert_cat", damaged)
    (damaged / "onnx/model.onnx").write_bytes(b"not a graph")
    for arguments, said in [
        (("export", tmp_path / "tk", "--format", "onnx", *output), "is a tk, which is not written as ONNX"),
        (("export", tmp_path / "tk", "--format", "onnx", "--quantize", "int8", *output), "is a tk, which is not"),
        (
            ("export", models / "bert_cat", "--format", "onnx", "--quantize", "int4", *output),
            "--quantize int4: expected",
        ),
        (("export", models / "bert_cat", "--format", "transformers", "--quantize", "int8", *output), "goes with"),
        (("export", models / "bert_cat.onnx", "--format", "onnx", *output), "holds an ONNX file, which is scored with"),
        (("rerank", models / "bert_cat.onnx", "--backend", "torch", *data), "holds an ONNX file, which is scored with"),
        (("rerank", models / "bert_cat", "--backend", "onnx", *data), "holds no ONNX file of distilkit's"),
        (("rerank", damaged, *data), "cannot be read as an ONNX file"),
    ]:
        outcome = cli(*arguments)
        assert outcome.code == 2, outcome.err
        assert said in outcome.err
        assert outcome.err.count("\n") == 1
        assert not (tmp_path / "out").exists()
    with pytest.raises(distilkit.UserError, match="copy its folder"):
        load(models / "bert_cat.onnx").save(tmp_path / "again")


def test_a_graph_that_scores_otherwise_is_refused(
    models: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilkit.models.cat import BertCat

    graph = BertCat.graph

    def otherwise(self: Ranker, batch: TokenBatch) -> torch.Tensor:
        return graph(self, batch) + (0.01 if torch.jit.is_tracing() else 0.0)  # type: ignore[arg-type]

    monkeypatch.setattr(BertCat, "graph", otherwise)
    outcome = cli("export", models / "bert_cat", "--format", "onnx", "--output", tmp_path / "out")
    assert outcome.code == 1
    assert "scores otherwise than distilkit: by 0.01" in outcome.err
    assert not (tmp_path / "out").exists()
