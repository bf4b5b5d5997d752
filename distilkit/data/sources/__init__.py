"""Data sources: one file each, entered in `SOURCES` under the name a recipe uses."""

from distilkit.data.sources.base import SOURCES, Source
from distilkit.data.sources.beir import BeirSource
from distilkit.data.sources.collection import CollectionSource
from distilkit.data.sources.huggingface import HuggingFaceSource
from distilkit.data.sources.ir_datasets import IrDatasetsSource
from distilkit.data.sources.msmarco import MsMarcoSource
from distilkit.data.sources.pydocs import PydocsSource

__all__ = [
    "SOURCES",
    "BeirSource",
    "CollectionSource",
    "HuggingFaceSource",
    "IrDatasetsSource",
    "MsMarcoSource",
    "PydocsSource",
    "Source",
]
