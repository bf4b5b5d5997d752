"""`distilkit.run`, `distilkit.plan` and `distilkit.runs`: training from Python, and the runs that are on disk."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilkit.errors import UserError
from distilkit.problems import to_toml
from distilkit.run_folders.listing import find_runs, locate
from distilkit.run_folders.read import StoredRun, suite_members
from distilkit.run_folders.record import Cost
from distilkit.run_folders.results import PerQuery, StoredResults

if TYPE_CHECKING:
    import pandas as pd

    from distilkit.api.comparisons import SystemComparison
    from distilkit.api.rankers import LoadedRanker
    from distilkit.data.collection import Collection
    from distilkit.pipeline.plan import Plan, SuitePlan
    from distilkit.pipeline.request import Request
    from distilkit.settings import Recipe


class Run:
    """A run on disk: what it was told to do, how far it is, and what came out.

    Everything is read from its folder when it is asked for, so that a run that goes on shows where it is. Methods raise
    UserError, naming the file, where the folder is damaged.

    Attributes:
        path: the run's folder

    Examples:
        >>> run = open_run("tiny")
        >>> run.name, run.state, sorted(run.measures)
        ('tiny', 'done', ['RR@10', 'nDCG@10'])
        >>> len(run.per_query["nDCG@10"]), run.curve[-1]["stage"], run.twin.name
        (8, 'distil', 'tiny-label_only')
        >>> run.recipe["student"]["shape"], run.resolved["student"]["architecture"], int(run.cost.parameters)
        ('L2_H16', 'bert_cat', 8401)
        >>> run.model.rank("what river", ["the old river", "the red apple"], top_k=1)[0].index in (0, 1)
        True
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._stored = StoredRun(self.path)
        if not self._stored.exists():
            raise UserError(f"{self.path} is not a run's folder: expected the file run.json in it")

    @property
    def name(self) -> str:
        """The run's name."""
        return self._stored.record.name or self.path.name

    @property
    def state(self) -> str:
        """How it is: running, stalled, done, stopped, crashed or lost."""
        return self._stored.state()

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe: the keys that it and what it extends set; `distilkit.run` takes it again."""
        return dict(self._stored.record.recipe)

    @property
    def resolved(self) -> dict[str, Any]:
        """Every key of the recipe with its value, defaults included."""
        return dict(self._stored.record.resolved)

    @property
    def sets(self) -> list[str]:
        """The names of the query sets that there are results for."""
        return self._stored.evaluated_sets()

    @property
    def measures(self) -> dict[str, float]:
        """The student's means on the first query set by measure; empty before it is evaluated."""
        return self.measures_on()

    @property
    def per_query(self) -> PerQuery:
        """Each judged query's value on the first query set by measure; empty before it is evaluated."""
        return self.per_query_on()

    def measures_on(self, eval_set: str | None = None, system: str | None = None) -> dict[str, float]:
        """Return means by measure.

        Args:
            eval_set: a query set; by default `test`, or the first that there are results for
            system: "bm25" or "teacher" for what the student is held against; the student by default

        Raises UserError for a query set or a system that there are no results of.
        """
        results = self._results(eval_set, system)
        found = results.measures() if results is not None else None
        return {} if found is None else dict(found.measures)

    def per_query_on(self, eval_set: str | None = None, system: str | None = None) -> PerQuery:
        """Return each judged query's value by measure; arguments and errors are those of `measures_on`."""
        results = self._results(eval_set, system)
        return {} if results is None else results.per_query()

    @property
    def cost(self) -> Cost:
        """What the student costs: parameters, latency, seconds of training by stage; empty before it is evaluated."""
        results = self._results(None, None)
        return Cost() if results is None else results.cost()

    @property
    def curve(self) -> list[dict[str, Any]]:
        """The student's validation measures in the order in which they were taken, each with its stage and step."""
        stages = self._stages()
        events = self._stored.student_events(stages, "validation", "curve") if stages else []
        return [{"stage": one.stage, "step": one.step, **one.values} for one in events]

    @property
    def twin(self) -> "Run | None":
        """The label-only twin, None where the run has none."""
        found = self._stored.twin()
        return None if found is None else Run(found.path)

    @property
    def model(self) -> "LoadedRanker":
        """The trained student, loaded; raises UserError where it is not trained yet."""
        from distilkit.api.rankers import load

        return load(self.path)

    @property
    def trec_run(self) -> Path:
        """The student's TREC run on the first query set; raises UserError before it is evaluated."""
        results = self._results(None, None)
        if results is None:
            raise UserError(f"{self.path}: the run has not been evaluated yet")
        return results.run

    def compare(self, **options: Any) -> "SystemComparison":
        """Compare the student with its teacher, first stage and twin; the options are those of `distilkit.compare`."""
        from distilkit.api.comparisons import compare

        return compare([self], **options)

    def _stages(self) -> list[str]:
        """Return the names of the student's stages, none of its teacher's: as measured, else as its recipe says."""
        if measured := self.cost.training_seconds:
            return list(measured)
        from distilkit.settings import Recipe
        from distilkit.strategies import strategy_from_table

        try:
            recipe = Recipe.model_validate(self.resolved)
            return [stage.name for stage in strategy_from_table(recipe.strategy).stages(recipe.train, recipe.seed)]
        except (UserError, ValueError):  # of another version, or with a strategy of a plug-in that is not loaded
            return []

    def _results(self, eval_set: str | None, system: str | None) -> StoredResults | None:
        sets = self.sets
        if eval_set is None:
            eval_set = "test" if "test" in sets or not sets else sets[0]
        if eval_set not in sets:
            if not sets:
                return None
            raise UserError(f"{self.path}: no results on the set {eval_set!r}; there are {', '.join(sets)}")
        results = self._stored.results(eval_set)
        if system is None:
            return results
        references = results.references()
        if system not in references:
            raise UserError(f"{self.path}: no results of {system!r}; there are {', '.join(references) or 'none'}")
        return references[system]

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f}" for name, value in self.measures.items())
        return f"<run {self.name}: {self.state}{', ' if means else ''}{means}>"


class Suite(Sequence[Run]):
    """The runs of a suite on disk, by name.

    Attributes:
        path: the suite's folder

    Examples:
        >>> suite = run("margin_mse_table2", resume=True)  # doctest: +SKIP
        >>> [one.measures["nDCG@10"] for one in suite if one.state == "done"]  # doctest: +SKIP
        [0.6712, 0.6644, 0.6581]
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def name(self) -> str:
        """The suite's name."""
        return self.path.name

    @property
    def runs(self) -> list[Run]:
        """The runs that have been started, without their label-only twins."""
        return [Run(member.path) for member in suite_members(self.path)]

    def compare(self, **options: Any) -> "SystemComparison":
        """Compare the suite's systems; the options are those of `distilkit.compare`."""
        from distilkit.api.comparisons import compare

        return compare([self], **options)

    def to_frame(self) -> "pd.DataFrame":
        """Return a row a run: name, state and measures."""
        import pandas as pd

        return pd.DataFrame([{"run": one.name, "state": one.state, **one.measures} for one in self.runs])

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __getitem__(self, place: Any) -> Any:
        return self.runs[place]

    def __repr__(self) -> str:
        return f"<suite {self.name}: {len(self)} runs>"


def run(
    recipe: "str | PathLike[str] | Mapping[str, Any] | Recipe",
    *,
    data: "str | PathLike[str] | Collection | None" = None,
    set: Mapping[str, Any] | None = None,
    name: str | None = None,
    seed: int | None = None,
    runs_dir: str | PathLike[str] = "runs",
    resume: bool = False,
    quiet: bool = False,
    allow_plugins: bool | None = None,
) -> Run | Suite:
    """Train, evaluate and compare what a recipe names, as the command `distilkit run` does.

    Ctrl-C (the stop button of a notebook) saves a checkpoint and raises Stopped; `resume=True` goes on from there, and
    returns a run that is finished as it is.

    Args:
        recipe: a TOML file, the name of a shipped recipe, a table of its sections, or a Recipe
        data: the collection: a `Collection`, a folder of BEIR's or MS MARCO's layout, "pydocs", or a source with what
            it reads, such as "ir_datasets:beir/scifact"; by default what the recipe names
        set: keys that are changed, as {"train.learning_rate": 1e-4}
        name: the run's name; the recipe's by default
        seed: the student's seed
        runs_dir: the folder of all runs
        resume: go on with a run that was stopped
        quiet: show no progress
        allow_plugins: False refuses a recipe that names plug-ins; by default they are shown, then run

    Returns:
        The run, or the suite where the recipe has a [matrix].

    Raises UserError for wrong input, before anything is computed, RunFailed where training fails, and Stopped.

    Examples:
        >>> finished = run("quickstart", name="first", resume=True)  # doctest: +SKIP
        >>> finished.measures["nDCG@10"]  # doctest: +SKIP
        0.5017
    """
    from distilkit.pipeline.run import execute
    from distilkit.pipeline.suite_run import execute_suite

    request = _request(recipe, data, set, name, seed, runs_dir, resume, False, allow_plugins)
    if request.recipe.matrix is not None:
        suite = execute_suite(request, quiet=quiet)
        return Suite(suite.path if suite is not None else request.folder.path)
    folder = execute(request, quiet=quiet)
    return Run(folder.path if folder is not None else request.folder.path)


def plan(
    recipe: "str | PathLike[str] | Mapping[str, Any] | Recipe",
    *,
    data: "str | PathLike[str] | Collection | None" = None,
    set: Mapping[str, Any] | None = None,
    name: str | None = None,
    seed: int | None = None,
    runs_dir: str | PathLike[str] = "runs",
    allow_plugins: bool | None = None,
) -> "Plan | SuitePlan":
    """Return what `run` would do with the same arguments: stages, examples, steps, what is cached; nothing is trained.

    A plan runs no plug-ins of a recipe unless `allow_plugins` is true. `to_text()` shows it, `to_json()` is plain data.
    Raises UserError as `run` does.

    Examples:
        >>> collection = {"source": "beir", "path": "tiny-collection"}
        >>> made = plan({"name": "planned", "extends": "quickstart", "data": collection})
        >>> [stage["what"] for stage in made.to_json()["stages"]]
        ['teacher: fine_tune', 'student: distil', 'label-only: fine_tune']
    """
    from distilkit.pipeline.plan import plan as made
    from distilkit.pipeline.plan import suite_plan

    request = _request(recipe, data, set, name, seed, runs_dir, False, True, allow_plugins)
    return suite_plan(request) if request.recipe.matrix is not None else made(request)


def runs(runs_dir: str | PathLike[str] = "runs") -> list[Run]:
    """Return the runs below a folder, those of suites and label-only twins included, by name.

    Examples:
        >>> [run.name for run in runs()]
        ['tiny', 'tiny-label_only']
    """
    return [Run(one.path) for one in find_runs(Path(runs_dir))]


def open_run(name: str, runs_dir: str | PathLike[str] = "runs") -> Run:
    """Return a run by its name or folder; raises UserError, with the nearest name, where there is none.

    Examples:
        >>> open_run("tinny")
        Traceback (most recent call last):
        distilkit.errors.UserError: no run is called 'tinny' in runs; did you mean 'tiny'?
    """
    return Run(locate(name, Path(runs_dir)).path)


def _request(
    recipe: "str | PathLike[str] | Mapping[str, Any] | Recipe",
    data: "str | PathLike[str] | Collection | None",
    changed: Mapping[str, Any] | None,
    name: str | None,
    seed: int | None,
    runs_dir: str | PathLike[str],
    resume: bool,
    planned: bool,
    allow_plugins: bool | None,
) -> "Request":
    from distilkit.option_values import require_runs_dir
    from distilkit.pipeline.request import Request
    from distilkit.pipeline.trust import Act
    from distilkit.recipe import load_with_source, read_table
    from distilkit.settings import Recipe

    require_runs_dir(Path(runs_dir))
    overrides = [_override(key, value) for key, value in (changed or {}).items()]
    overrides += [_override(key, value) for key, value in (("name", name), ("seed", seed)) if value is not None]
    if data is not None:
        overrides += [_override(f"data.{key}", value) for key, value in _data_table(data).items()]
    act = Act(Path(runs_dir), planned, resume, allow_plugins)
    if isinstance(recipe, Recipe):
        recipe = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(recipe, Mapping):
        loaded, source = read_table(dict(recipe), overrides, act)
    else:
        loaded, source = load_with_source(fspath(recipe), overrides, act)
    return Request(loaded, source, Path(runs_dir), resume)


def _data_table(data: "str | PathLike[str] | Collection") -> dict[str, Any]:
    from distilkit.data.collection import Collection
    from distilkit.scoring.data_option import data_settings

    if isinstance(data, Collection):
        return {"source": "collection", "path": str(data.folder)}
    return data_settings(fspath(data)).model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


def _override(key: str, value: object) -> str:
    return f"{key}={to_toml(_in_toml(value))}"


def _in_toml(value: object) -> object:
    """Return a value in the types that TOML has; raises UserError for one that it has nothing for."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return {str(key): _in_toml(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_toml(item) for item in value]
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, PathLike):
        return fspath(value)
    raise UserError(
        f"set: {value!r} is not a value of a recipe; expected a text, a number, true or false, a list or a table"
    )
