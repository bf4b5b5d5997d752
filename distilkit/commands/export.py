"""`distilkit export`: a ranker, of a run or published, as a folder that the library of its kind loads."""

from dataclasses import dataclass
from pathlib import Path

from distilkit import option_values, options
from distilkit.commands.output import printed
from distilkit.errors import UserError, nearest
from distilkit.files import remove_folder
from distilkit.models import STUDENTS
from distilkit.models.save import save_ranker
from distilkit.onnx.write import Stored, write_onnx
from distilkit.pipeline.card import card_in
from distilkit.scoring.peers import check_export, check_onnx
from distilkit.scoring.rankers import OpenRanker, named, open_ranker

ONNX = "onnx"


@dataclass(frozen=True)
class Exported:
    """What was written, and how it is loaded."""

    output: Path
    format: str
    architecture: str
    loads: str
    checked: str

    def to_json(self) -> dict[str, str]:
        """Return it as plain data."""
        return {**vars(self), "output": str(self.output)}

    def to_text(self) -> str:
        """Return it for people."""
        return f"a {self.architecture} for {self.format}: {self.output}\nload it with {self.loads}\n{self.checked}"


def export(asked: options.Export) -> str:
    """Write a ranker to a new folder; return where it is and how it is loaded.

    Raises UserError for an unknown format, one that the ranker cannot be loaded in, and a folder that is not empty;
    RunFailed where the library that it is for scores otherwise.
    """
    reference, format_, output = asked.model, asked.format_, asked.output
    formats = dict.fromkeys([*(target for name in STUDENTS for target in STUDENTS[name].ranker().targets), ONNX])
    if format_ not in formats:
        raise UserError(f"--format {format_}: there is no such format{nearest(format_, formats)}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output {output}: exists already; choose a new folder")
    if asked.quantize not in (None, "int8"):
        raise UserError(f"--quantize {asked.quantize}: expected int8, the one that there is")
    if asked.quantize is not None and format_ != ONNX:
        raise UserError(f"--quantize {asked.quantize} goes with --format {ONNX}, not with {format_}")
    option_values.require_licence(asked.license_)
    opened = open_ranker(reference, asked.architecture, runs_dir=asked.runs_dir, backend="torch")
    if format_ == ONNX:
        return printed(_to_onnx(asked, opened), asked)
    ranker = opened.ranker
    if format_ not in ranker.exports:
        known = f"it takes {', '.join(ranker.exports)}" if ranker.exports else "it loads in distilkit alone"
        form = " of its options" if len(ranker.exports) < len(ranker.targets) else ""
        kind = f"{ranker.architecture}{form}, and {known}{ranker.why_not}"
        raise UserError(f"--format {format_}: {reference} is a {kind}")
    save_ranker(
        ranker,
        opened.tokenizer,
        output,
        max_length=opened.max_length,
        query_length=opened.query_length,
        document_length=opened.document_length,
        name=named([reference])[0].name,
        known=card_in(opened.folder),
        license=asked.license_,
    )
    loads = ranker.exports[format_].format(folder=str(output))
    try:
        checked = check_export(output, opened, format_)
    except BaseException:
        remove_folder(output)  # nothing is left that scores otherwise elsewhere
        raise
    return printed(Exported(output, format_, ranker.architecture, loads, str(checked)), asked)


def _to_onnx(asked: options.Export, opened: OpenRanker) -> Exported:
    """Write a ranker as an ONNX file, and hold the scores of the file against its own."""
    stored: Stored = "fp32" if asked.quantize is None else "int8"
    name, ranker = named([asked.model])[0].name, opened.ranker
    known = card_in(opened.folder)
    write_onnx(ranker, opened.tokenizer, asked.output, stored, opened.lengths, name, known, asked.license_)
    try:
        checked = check_onnx(opened, open_ranker(str(asked.output), backend="onnx"))
    except BaseException:
        remove_folder(asked.output)
        raise
    return Exported(asked.output, ONNX, ranker.architecture, f"distilkit.load({str(asked.output)!r})", str(checked))
