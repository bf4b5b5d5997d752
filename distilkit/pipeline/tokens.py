"""Tokens: tokenizers, windows of documents, and the tokens of a collection or of plain text, made once and shared."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from distilkit.data.arrays import Integers
from distilkit.data.collection import Collection
from distilkit.data.passages import Windows, write_windows
from distilkit.data.prefixes import NONE, Prefixes
from distilkit.files import content_key
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.workspace import Workspace
from distilkit.settings import DataSettings, GeneralSettings, PassageSettings

if TYPE_CHECKING:
    from distilkit.data.plain_text import TextTokens
    from distilkit.data.side_tokens import SideTokens, TextFormat
    from distilkit.data.tokens import PairTokens, TokenStore

# Raised when what counts as a word changes: 2 takes a character of a script without blanks for one.
CUT = WORDS = 2
# The file of a cut vocabulary that holds which entries of the whole one it has.
ROWS = "rows.npy"


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []


@lru_cache(maxsize=64)
def _identity_of(folder: Path, marks: tuple[tuple[str, int, int], ...]) -> str:
    """Return what a tokenizer does to a text; `marks` tell whether its files are those of before."""
    from distilkit.data.tokens import tokenizer_identity
    from distilkit.models.load import load_tokenizer

    return tokenizer_identity(load_tokenizer(folder))


@dataclass(frozen=True, eq=False)
class FolderTokenizer(Node[Path]):
    """The tokenizer in a model's folder, and what is written before each text that it reads."""

    folder: Path
    prefixes: Prefixes = NONE

    kind: ClassVar[str] = "tokenizer"

    def identity(self) -> dict[str, Any]:
        """Return what its tokens depend on."""
        marks = tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in _files(self.folder))
        return {"tokenizer": _identity_of(self.folder, marks), **self.prefixes.identity()}

    @property
    def uncut(self) -> "FolderTokenizer":
        """Itself: its vocabulary is whole."""
        return self

    def value(self, workspace: Workspace) -> Path:
        """Return the folder."""
        return self.folder


@dataclass(frozen=True, eq=False)
class WordTokenizer(Artifact[Path]):
    """A tokenizer of the whole words of a collection."""

    collection: Collection
    prefixes: ClassVar[Prefixes] = NONE

    kind: ClassVar[str] = "words"

    @property
    def uncut(self) -> "WordTokenizer":
        """Itself: its words are the collection's own."""
        return self

    def identity(self) -> dict[str, Any]:
        """Return the collection."""
        return {"collection": self.collection.fingerprint, "version": WORDS}

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Count the words of all queries and passages."""
        from distilkit.models.words import word_tokenizer

        tables = (self.collection.queries, self.collection.passages)
        texts = (text for table in tables for _, batch in table.batches(4096) for text in batch)
        word_tokenizer(texts).save_pretrained(folder)

    def open(self, folder: Path, workspace: Workspace) -> Path:
        """Return the folder."""
        return folder


@dataclass(frozen=True, eq=False)
class CutTokenizer(Artifact[Path]):
    """A model's tokenizer with those entries of its vocabulary that a collection's passages use.

    `kept` are entries that stay whether used or not.
    """

    uncut: FolderTokenizer
    collection: Collection
    kept: tuple[str, ...] = ()

    kind: ClassVar[str] = "vocabulary"

    @property
    def prefixes(self) -> Prefixes:
        """What is written before each text, as with the whole vocabulary."""
        return self.uncut.prefixes

    def identity(self) -> dict[str, Any]:
        """Return the tokenizer, the collection, and what stays."""
        return {"tokenizer": self.uncut.key, "collection": self.collection.fingerprint, "kept": [*self.kept]}

    def check(self, workspace: Workspace) -> None:
        """Refuse a vocabulary that cannot be cut."""
        from distilkit.models.load import load_tokenizer
        from distilkit.models.vocabulary import require_wordpiece

        require_wordpiece(load_tokenizer(self.uncut.folder), self.uncut.folder)

    def build(self, folder: Path, workspace: Workspace) -> dict[str, Any]:
        """Tokenise all passages, and what is written before and behind texts."""
        from distilkit.models.load import load_tokenizer
        from distilkit.models.vocabulary import cut_tokenizer, used_rows

        tokenizer, passages = load_tokenizer(self.uncut.folder), self.collection.passages
        around = [text for side in self.prefixes.sides for text in side if text]
        with workspace.progress.phase("cut vocabulary", len(passages)) as phase:
            texts = chain((texts for _, texts in passages.batches(4096)), [around])
            rows = used_rows(tokenizer, texts, self.kept, lambda done: phase.reach(done, len(passages)))
        cut_tokenizer(tokenizer, rows, folder)
        np.save(folder / ROWS, np.array(rows, np.int64))
        return {"entries": len(rows), "of": len(tokenizer)}

    def open(self, folder: Path, workspace: Workspace) -> Path:
        """Return the folder."""
        return folder


Tokenizer = FolderTokenizer | WordTokenizer | CutTokenizer


def kept_rows(tokenizer: Tokenizer, workspace: Workspace) -> Integers | None:
    """Return the entries of the whole vocabulary that a cut one has, in its order; None for one that is not cut."""
    if not isinstance(tokenizer, CutTokenizer):
        return None
    rows: Integers = np.load(workspace.value(tokenizer) / ROWS)
    return rows


@dataclass(frozen=True, eq=False)
class DocumentWindows(Artifact[Windows]):
    """The windows of every document of a collection."""

    collection: Collection
    settings: PassageSettings
    tokenizer: Tokenizer

    kind: ClassVar[str] = "windows"

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The tokenizer, where windows are counted in its tokens."""
        return (self.tokenizer,) if self.settings.unit == "tokens" else ()

    def identity(self) -> dict[str, Any]:
        """Return the documents and how they are cut."""
        settings = self.settings
        cut = {"unit": settings.unit, "length": settings.length, "stride": settings.stride, "version": CUT}
        return {"documents": self.collection.fingerprint, **cut, "tokenizer": [node.key for node in self.inputs]}

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Cut every document."""
        from distilkit.models.load import load_tokenizer

        settings, documents = self.settings, self.collection.passages
        tokenizer = load_tokenizer(workspace.value(self.tokenizer)) if settings.unit == "tokens" else None
        with workspace.progress.phase("cut passages", len(documents)) as phase:
            write_windows(
                folder,
                documents,
                unit=settings.unit,
                length=settings.length,
                stride=settings.stride,
                tokenizer=tokenizer,
                progress=phase.reach,
            )

    def open(self, folder: Path, workspace: Workspace) -> Windows:
        """Map the windows."""
        return Windows.open(folder)


@dataclass(frozen=True, eq=False)
class TokenStores(Artifact["tuple[TokenStore, TokenStore]"]):
    """The tokens of a collection's queries and passages (or of their windows), each text to a number of tokens."""

    collection: Collection
    tokenizer: Tokenizer
    length: int
    windows: DocumentWindows | None

    kind: ClassVar[str] = "tokens"

    def identity(self) -> dict[str, Any]:
        """Return the collection, the tokenizer, the windows and the length."""
        windows = self.windows.key if self.windows else None
        tokenizer = self.tokenizer.key
        return {
            "collection": self.collection.fingerprint,
            "tokenizer": tokenizer,
            "length": self.length,
            "windows": windows,
        }

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Tokenise every text once."""
        from distilkit.data.tokens import write_token_store
        from distilkit.models.load import load_tokenizer

        tokenizer = load_tokenizer(workspace.value(self.tokenizer))
        passages = self.collection.passages if self.windows is None else workspace.value(self.windows).texts
        tables = {"queries": self.collection.queries, "passages": passages}
        for (name, table), around in zip(tables.items(), self.tokenizer.prefixes.sides, strict=True):
            (folder / name).mkdir()
            with workspace.progress.phase(f"tokenise {name}", len(table)) as phase:
                write_token_store(folder / name, table, tokenizer, self.length, phase.reach, around)

    def open(self, folder: Path, workspace: Workspace) -> "tuple[TokenStore, TokenStore]":
        """Map both stores."""
        from distilkit.data.tokens import TokenStore

        return TokenStore.open(folder / "queries"), TokenStore.open(folder / "passages")


@dataclass(frozen=True, eq=False)
class Reader(Node["PairTokens | SideTokens"]):
    """A collection's tokens in the form that an architecture reads: pairs in one sequence, or the two sides apart."""

    stores: TokenStores
    settings: DataSettings
    form: "TextFormat"

    kind: ClassVar[str] = "reader"

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The stored tokens."""
        return (self.stores, *self.stores.inputs)

    def identity(self) -> dict[str, Any]:
        """Return the stored tokens, the form and the lengths that it has."""
        return {"tokens": self.stores.key, "form": vars(self.form), **self.named_lengths}

    @property
    def named_lengths(self) -> dict[str, int]:
        """The most tokens of its texts, by the keys of `[data]`."""
        return {key: getattr(self.settings, key) for key in self.form.length_keys}

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the tokens."""
        return self.stores.tokenizer

    @property
    def lengths(self) -> tuple[int, ...]:
        """The most tokens of what is encoded for a pair: of the pair, or of query and passage."""
        return tuple(self.named_lengths.values())

    @property
    def aggregation(self) -> str | None:
        """How a document's score is made of its windows'; None where documents are read whole."""
        return self.settings.passages.aggregate if self.settings.passages else None

    def value(self, workspace: Workspace) -> "PairTokens | SideTokens":
        """Return what turns examples into batches."""
        from distilkit.data.tokens import Documents
        from distilkit.models.load import load_tokenizer

        tokenizer = load_tokenizer(workspace.value(self.tokenizer))
        queries, passages = workspace.value(self.stores)
        documents, windows, settings = None, self.stores.windows, self.settings.passages
        if windows is not None and settings is not None:
            documents = Documents(workspace.value(windows), settings.aggregate)
        return self.form.tokens(tokenizer, queries, passages, self.named_lengths, documents)


@dataclass(frozen=True, eq=False)
class TextSequences(Artifact[Path]):
    """Plain text cut into sequences of tokens, for general distillation."""

    settings: GeneralSettings
    collection: Collection
    tokenizer: Tokenizer

    kind: ClassVar[str] = "text"

    def identity(self) -> dict[str, Any]:
        """Return the text's content, the tokenizer, and how many sequences of which length are read."""
        settings = self.settings
        read: dict[str, Any] = {"max_length": settings.max_length, "max_sequences": settings.max_sequences}
        if settings.pairs:  # absent otherwise, so that sequences of before keep their keys
            read["pairs"] = True
        return {"text": self._content, "tokenizer": self.tokenizer.key, **read}

    @cached_property
    def _content(self) -> dict[str, Any]:
        from distilkit.data.plain_text import text_identity

        settings = self.settings
        own = self.collection.fingerprint if settings.text in ("collection", "installed_docs") else None
        return text_identity(settings.text, fingerprint=own, column=settings.column, split=settings.split)

    @property
    def reads(self) -> dict[str, str]:
        """The text, unless it is the collection's."""
        text = self.settings.text
        return {} if text == "collection" else {f"the text {text}": content_key(self._content)}

    def build(self, folder: Path, workspace: Workspace) -> None:
        """Read and tokenise the text; raises UserError for text that is not there or broken."""
        from distilkit.data.plain_text import read_texts, write_sequences
        from distilkit.models.load import load_tokenizer

        settings = self.settings
        passages = self.collection.passages if settings.text == "collection" else None
        how = {"column": settings.column, "split": settings.split}
        documents = read_texts(settings.text, collection=passages, queries=self.collection.queries, **how)
        tokenizer, most = load_tokenizer(workspace.value(self.tokenizer)), settings.max_sequences
        with workspace.progress.phase("tokenise text", most or 0) as phase:
            write_sequences(folder, documents, tokenizer, settings.max_length, phase.reach, most, settings.pairs)

    def open(self, folder: Path, workspace: Workspace) -> Path:
        """Return the folder of the sequences."""
        return folder


@dataclass(frozen=True, eq=False)
class TextReader(Node["TextTokens"]):
    """Sequences of plain text as batches, paired and masked as a stage's seed says."""

    sequences: TextSequences
    seed: int

    kind: ClassVar[str] = "text_reader"

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The sequences."""
        return (self.sequences, self.sequences.tokenizer)

    def identity(self) -> dict[str, Any]:
        """Return the sequences, and how they are masked."""
        return {"text": self.sequences.key, "masking": self.sequences.settings.masking, "seed": self.seed}

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the tokens."""
        return self.sequences.tokenizer

    @property
    def lengths(self) -> tuple[int, ...]:
        """The most tokens of a sequence."""
        return (self.sequences.settings.max_length,)

    def value(self, workspace: Workspace) -> "TextTokens":
        """Return what turns sequences into batches."""
        from distilkit.data.plain_text import TextTokens
        from distilkit.models.load import load_tokenizer

        settings, tokenizer = self.sequences.settings, load_tokenizer(workspace.value(self.tokenizer))
        folder = workspace.value(self.sequences)
        how = settings.max_length, settings.masking, self.seed, settings.pairs
        return TextTokens.open(folder, tokenizer, *how)
