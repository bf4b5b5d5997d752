"""Documents of plain text by the name of their source: the collection, a file, a folder, a data set of the hub."""

from collections.abc import Iterator
from typing import Any

from distilkit.data.plain_text import files, huggingface
from distilkit.data.texts import Texts
from distilkit.errors import UserError

COLLECTION = "collection"
BATCH = 1000


def read_texts(
    source: str, *, collection: Texts | None = None, column: str = "text", split: str = "train"
) -> Iterator[str]:
    """Yield the documents of a source that are not blank, one at a time.

    Args:
        source: `collection`, whose passages are the documents; a file or folder, see `files`; or
            `huggingface:NAME[:CONFIG]`, a data set of the hub or a folder that `datasets` can load
        collection: the passages that `collection` means
        column: the column or field that holds the text, where there are several
        split: of a data set

    Raises UserError for a source that is not there, before the first document is asked for, and for broken content,
    naming the file and line, when it is come upon; a source without any text is one too.
    """
    if source == COLLECTION:
        if collection is None:
            raise ValueError("the source 'collection' needs the collection's passages")
        return _some(source, (text for _, texts in collection.batches(BATCH) for text in texts))
    if source.startswith(huggingface.PREFIX):
        return _some(source, huggingface.read(source, column, split))
    return _some(source, files.read(source, column))


def text_identity(
    source: str, *, fingerprint: str | None = None, column: str = "text", split: str = "train"
) -> dict[str, Any]:
    """Return what a source's documents depend on, for a key: hashes of content, never paths.

    `fingerprint` is that of the passages which `collection` means. Raises UserError for a source that is not there.
    """
    if source == COLLECTION:
        if fingerprint is None:
            raise ValueError("the source 'collection' needs the fingerprint of the collection's passages")
        return {"collection": fingerprint}
    if source.startswith(huggingface.PREFIX):
        return huggingface.identity(source, column, split)
    return files.identity(source, column)


def _some(source: str, documents: Iterator[str]) -> Iterator[str]:
    found = False
    for document in documents:
        if document.strip():
            found = True
            yield document
    if not found:
        raise UserError(f"{source} holds no text; expected at least one document that is not blank")
