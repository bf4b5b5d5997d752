"""The typed tables of a recipe; every field is a recipe key, its docstring the help text.

Names follow Hugging Face's TrainingArguments wherever it has one.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from distilkit.licences import licence
from distilkit.settings.data import DataSettings, PassageSettings, ValidationSettings
from distilkit.settings.fields import Section, Seed, Strings, TrackerNames, run_name, teacher_name
from distilkit.settings.rankers import StudentSettings, TeacherSettings, TwinSettings
from distilkit.settings.reports import EvaluateSettings, EvaluationSetSettings, MatrixSettings, ReportSettings
from distilkit.settings.training import GeneralSettings, TrainSettings

__all__ = [
    "DataSettings",
    "EvaluateSettings",
    "EvaluationSetSettings",
    "GeneralSettings",
    "MatrixSettings",
    "PassageSettings",
    "Recipe",
    "ReportSettings",
    "Section",
    "StudentSettings",
    "TeacherSettings",
    "TrainSettings",
    "TwinSettings",
    "ValidationSettings",
]


class Recipe(Section):
    """A whole recipe, resolved: data, teacher, student, strategy, training, evaluation.

    Examples:
        >>> recipe = Recipe(name="mine", strategy={"name": "margin_mse"}, train={"learning_rate": 1e-4})
        >>> recipe.data.source, recipe.train.learning_rate
        ('pydocs', 0.0001)
    """

    name: Annotated[str, AfterValidator(run_name)]
    """Name of the run's folder; SUITE/NAME puts it into a suite's."""
    description: str = ""
    """The line that `distilkit recipes` shows."""
    license: Annotated[str, AfterValidator(licence)] | None = None
    """The licence of the student, for its model card: the hub's word, such as apache-2.0."""
    seed: Seed = 1
    """The seed of the student's own stages: its training queries, negatives, order, head and dropout."""
    general_seed: Seed = 1
    """The seed of general distillation; runs with the same seed share its result."""
    report_to: TrackerNames = ()
    """Experiment trackers that the run reports to: tensorboard, wandb, mlflow, trackio, swanlab."""
    plugins: Strings = ()
    """Python files, beside the recipe, that register your own strategies, losses, students or sources."""
    data: DataSettings = DataSettings()
    teacher: TeacherSettings = TeacherSettings()
    student: StudentSettings = StudentSettings()
    strategy: dict[str, Any] = {}
    """The `name` of the strategy, and its keys."""
    train: TrainSettings = TrainSettings()
    stages: dict[str, dict[str, Any]] = {}
    """Keys of [train] that differ in a stage, such as [stages.prediction] learning_rate."""
    general: GeneralSettings = GeneralSettings()
    teachers: dict[Annotated[str, AfterValidator(teacher_name)], TeacherSettings] = {}
    """Further teachers, which [matrix] teachers and [teacher] models can name."""
    matrix: MatrixSettings | None = None
    twin: TwinSettings = TwinSettings()
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Values to try for keys of this recipe (NAME.key for those of one strategy); the best on validation is kept."""
    grid_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the steps that each grid point is trained for; below 1 the chosen one is trained again in full."""
    report: ReportSettings = ReportSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
