"""Teacher scores on disk: files of every published format read into one memory-mapped store, and written."""

from distilkit.data.teacher_scores.combine import Statistics, combine, statistics
from distilkit.data.teacher_scores.formats import FORMATS
from distilkit.data.teacher_scores.provenance import read_provenance, require_match, text_fingerprint
from distilkit.data.teacher_scores.store import TeacherScores
from distilkit.data.teacher_scores.write import write_parquet, write_tsv

__all__ = [
    "FORMATS",
    "Statistics",
    "TeacherScores",
    "combine",
    "read_provenance",
    "require_match",
    "statistics",
    "text_fingerprint",
    "write_parquet",
    "write_tsv",
]
