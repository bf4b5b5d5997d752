"""Plain text for distilling language models: read from anywhere, packed into sequences, batched and masked."""

from distilkit.data.plain_text.packing import write_sequences
from distilkit.data.plain_text.reading import read_texts, text_identity
from distilkit.data.plain_text.tokens import Masking, MaskingKind, TextTokens

__all__ = [
    "Masking",
    "MaskingKind",
    "TextTokens",
    "read_texts",
    "text_identity",
    "write_sequences",
]
