"""The ranker that is timed: a trained one, or a new one around an encoder, whose cost is the same."""

from dataclasses import dataclass
from typing import Any

from distilkit.bench.request import Bench
from distilkit.errors import UserError
from distilkit.files import content_key
from distilkit.models import STUDENTS, student_options
from distilkit.models.checkpoints import architecture_of
from distilkit.models.initialise import student_from
from distilkit.models.load import load_tokenizer
from distilkit.scoring.rankers import OpenRanker, model_folder, open_ranker


@dataclass(frozen=True)
class Subject:
    """A ranker to be timed, and whether it was trained to be one."""

    opened: OpenRanker
    trained: bool

    @property
    def ranker(self) -> Any:
        """The ranker itself."""
        return self.opened.ranker


def open_subject(request: Bench) -> Subject:
    """Open what a request names; where the model does not say which ranker it is, one is drawn around its encoder.

    Raises UserError for a model without an architecture, and for options of a new ranker where there is a trained one.
    """
    folder = model_folder(request.model)
    found = architecture_of(folder)
    if found is None and request.architecture is None:
        raise UserError(
            f"{request.model} is an encoder, not a ranker: name the --architecture of the one to time around it, "
            f"{', '.join(STUDENTS)}"
        )
    if found is None:
        opened = _new(request)
    elif request.options or request.shape is not None:
        raise UserError(f"{request.model} is a {found} already: --option and --shape are for a new ranker")
    else:
        opened = open_ranker(request.model, request.architecture)
    lengths = request.query_length, request.document_length, request.max_length
    return Subject(opened.with_lengths(*lengths), found is not None)


def _new(request: Bench) -> OpenRanker:
    assert request.architecture is not None
    folder = model_folder(request.model)
    tokenizer = load_tokenizer(folder)
    ranker = student_from(
        folder,
        architecture=request.architecture,
        options=student_options(request.architecture, request.options),
        shape=request.shape,
        tokenizer=tokenizer,
    )
    return OpenRanker.of(ranker.eval(), tokenizer, folder, content_key(request.model))
