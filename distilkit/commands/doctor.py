"""`distilkit doctor`: what this machine and installation have, for a first look and for bug reports."""

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from distilkit import options
from distilkit.run_folders.disk import free
from distilkit.run_folders.folder import machine, versions
from distilkit.tables import table

INSTALL = "pip install 'distilkit[%s]'"


def doctor(asked: options.Doctor) -> str:
    """Return versions, devices, number formats that are fast, missing extras and the folders of caches."""
    found = {
        "machine": machine(),
        "versions": versions(),
        "devices": _devices(),
        "extras": _extras(),
        "folders": _folders(asked.runs_dir),
    }
    return json.dumps(found, indent=2) if asked.json_ else _text(found)


def _devices() -> list[dict[str, Any]]:
    import torch

    from distilkit.training.precision import auto_precision

    devices = [torch.device("cpu"), *(torch.device("cuda", number) for number in range(torch.cuda.device_count()))]
    found = []
    for device in devices:
        auto = auto_precision(device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
        found.append({"device": str(device), "name": name, "precision": auto.precision, "why": auto.why})
    return found


def _extras() -> dict[str, list[str]]:
    """Return what each extra of distilkit lacks here, [] where all of it is installed."""
    distribution = metadata.distribution("distilkit")
    lacking: dict[str, list[str]] = {extra: [] for extra in distribution.metadata.get_all("Provides-Extra") or []}
    for text in distribution.requires or []:
        requirement = Requirement(text)
        for extra in lacking:
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                wanted = requirement.marker.evaluate({"extra": extra})
                if wanted and not _is_installed(requirement.name):
                    lacking[extra].append(requirement.name)
    return lacking


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _folders(runs_dir: Path) -> dict[str, dict[str, Any]]:
    """Return the folders that files are kept in, each with the bytes that are free there."""
    from huggingface_hub import constants

    places = {
        "runs": runs_dir,
        "artifacts": runs_dir / ".artifacts",
        "hub": Path(constants.HF_HUB_CACHE),
        "ir_datasets": Path(os.environ.get("IR_DATASETS_HOME", "~/.ir_datasets")).expanduser(),
    }
    return {name: _place(path) for name, path in places.items()}


def _place(path: Path) -> dict[str, Any]:
    return {"path": str(path), "exists": path.exists(), "free_bytes": free(path)}


def _text(found: dict[str, Any]) -> str:
    host = found["machine"]
    rows = [[name, version] for name, version in found["versions"].items()]
    devices = [[one["device"], one["name"], one["precision"], one["why"]] for one in found["devices"]]
    extras = [
        [name, f"lacks {', '.join(lacking)}: {INSTALL % name}" if lacking else "installed"]
        for name, lacking in found["extras"].items()
    ]
    folders = [
        [name, one["path"], "there" if one["exists"] else "not there yet", f"{one['free_bytes'] / 2**30:.1f} GiB free"]
        for name, one in found["folders"].items()
    ]
    parts = [
        f"{host['cpu']}, {host['cores']} cores, {host['system']}",
        table(["package", "version"], rows),
        table(["device", "name", 'bf16 = "auto" takes', "since"], devices),
        table(["extra", "state"], extras),
        table(["folder", "path", "state", "room"], folders),
    ]
    return "\n\n".join(parts)
