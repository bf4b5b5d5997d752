"""`distilkit.push`: a trained ranker with its card on the Hugging Face hub."""

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import cast

from distilkit.errors import RunFailed, UserError
from distilkit.files import expanded
from distilkit.manifest import MANIFEST
from distilkit.model_card import CARD, UNKNOWN

NAME = r"[A-Za-z0-9][\w.-]{0,95}"


@dataclass(frozen=True)
class Upload:
    """What is to be uploaded: the files of one model under their names, its card with the licence that was asked for.

    Attributes:
        to: the repository on the hub, OWNER/NAME
        folder: the model's folder
        card: the text of README.md, None for a model without a card of ours
        files: the other files
        private: whether a repository that is made for it is seen by its owner alone
    """

    to: str
    folder: Path
    card: str | None
    files: tuple[Path, ...]
    private: bool

    @property
    def bytes(self) -> int:
        """The size of all of it."""
        return sum(path.stat().st_size for path in self.files) + len((self.card or "").encode())

    @property
    def names(self) -> list[str]:
        """The files by their names in the repository."""
        own = [path.relative_to(self.folder).as_posix() for path in self.files]
        return sorted([*own, *([CARD] if self.card is not None else [])])

    def send(self) -> str:
        """Make the repository where there is none, and upload everything in one commit; return its address.

        Raises RunFailed where the hub cannot be reached or refuses it.
        """
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HfHubHTTPError

        http_error = cast(type[Exception], HfHubHTTPError.__bases__[0])
        api = HfApi()
        contents: list[tuple[str, str | bytes]] = [
            (path.relative_to(self.folder).as_posix(), str(path)) for path in self.files
        ]
        if self.card is not None:
            contents.append((CARD, self.card.encode()))
        try:
            api.create_repo(self.to, private=self.private, exist_ok=True)
            operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=what) for name, what in contents]
            api.create_commit(self.to, operations, commit_message="Upload a ranker with distilkit")
        except (OSError, ValueError, http_error) as error:
            raise RunFailed(f"the hub did not accept {self.to}: {_said(error)}") from None
        return f"{api.endpoint}/{self.to}"


def prepare(
    reference: str | PathLike[str],
    to: str,
    *,
    private: bool = False,
    license: str | None = None,
    runs_dir: str | PathLike[str] = "runs",
) -> Upload:
    """Return what `push` would upload; nothing is sent.

    Raises UserError for a reference that is not a model on this machine, a repository's name that is none, and a model
    that holds a symbolic link.
    """
    from distilkit.models.references import PREFIX
    from distilkit.option_values import require_licence
    from distilkit.pipeline.card import card_in
    from distilkit.run_folders.listing import find_run, nearest_run
    from distilkit.scoring.rankers import model_folder

    if not re.fullmatch(rf"{NAME}/{NAME}", to):
        raise UserError(f"--to {to}: expected a repository on the hub, OWNER/NAME")
    require_licence(license)
    name, below = fspath(reference), Path(runs_dir)
    here = any(place.is_dir() for place in (expanded(name), below / name)) or find_run(name, below) is not None
    if name.strip() and not here:
        # What others published is not fetched for the sake of publishing it again.
        what = " (push uploads no model of a package)" if name.startswith(PREFIX) else ""
        raise UserError(f"{name}: there is no such run or model folder here{what}{nearest_run(name, below)}")
    folder = model_folder(name, below)
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise UserError(f"{path} is a symbolic link; symbolic links are not uploaded")
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path.name != MANIFEST:
            files.append(path)
    card = card_in(folder)
    if card is None:
        if license is not None:
            raise UserError(f"--license: {folder} has no {CARD} of distilkit's; write the licence into its own")
        return Upload(to, folder, None, tuple(files), private)
    front = {**card.front, "license": license or card.front.get("license", UNKNOWN)}
    others = tuple(path for path in files if path != folder / CARD)
    return Upload(to, folder, replace(card, front=front).to_text(), others, private)


def push(
    reference: str | PathLike[str],
    to: str,
    *,
    private: bool = False,
    license: str | None = None,
    runs_dir: str | PathLike[str] = "runs",
) -> str:
    """Upload a trained ranker to the Hugging Face hub: weights, configuration, tokenizer and card; return its address.

    The token is the one of `hf auth login` or of the environment variable HF_TOKEN; it is written nowhere.

    Args:
        reference: a run's name or folder, or a model's folder
        to: the repository, ``"OWNER/NAME"``, which is made where there is none
        private: make a new repository private
        license: the hub's name of the licence, such as ``"apache-2.0"``, for the card
        runs_dir: the folder that names of runs are looked up in

    Raises UserError for wrong input and RunFailed where the hub cannot be reached or refuses.
    """
    return prepare(reference, to, private=private, license=license, runs_dir=runs_dir).send()


def _said(error: Exception) -> str:
    """Return an error's first line, without the token that an address might hold."""
    from huggingface_hub import get_token

    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    with suppress(Exception):
        text = text.replace(get_token() or "\0", "***")
    return text
