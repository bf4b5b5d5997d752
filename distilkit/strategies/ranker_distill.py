"""The strategies of Gao et al.: a ranker distilled, a language model distilled on text, and the two in turn."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.fine_tune import FineTune
from distilkit.strategies.internals import GeneralWeights, InternalsStrategy, TeacherWeights
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import Positive, Weight

PAPER = "Understanding BERT Rankers Under Distillation"


@STRATEGIES.register("ranker_distill")
@dataclass(frozen=True)
class RankerDistill(InternalsStrategy):
    """Distil a fine-tuned ranker's intermediate layers and predictions into a student that starts at random.

    Equation: L = L_attn + L_hidn + L_emb + L_soft, each times its weight, computed as in TinyBERT.
    Paper: Gao, Dai and Callan, Understanding BERT Rankers Under Distillation (ICTIR 2020), Ranker Distill.
    Deviations: the paper does not say whether predictions are distilled together with the intermediate layers or after
    them. The default is together; one_step = false does it in two steps, as the TinyBERT software does that the paper
    builds on. The random start is a key of the recipe: [student] start = "random".
    Defaults: weights and temperature 1, as in the TinyBERT software.
    """

    paper: ClassVar[str] = PAPER

    one_step: bool = True
    """Whether intermediate layers and predictions are distilled in one step, instead of one after the other."""
    temperature: Positive = 1.0
    """The temperature that the logits of student and teacher are divided by before the softmax."""
    weights: TeacherWeights = field(default_factory=TeacherWeights)
    """The weight of each loss."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the task distillation."""
        outputs = (self._soft(self.weights.soft, self.temperature),)
        return self._task(self.weights, outputs, self.one_step, train, seed)


@dataclass(frozen=True)
class LmWeights(GeneralWeights):
    """The weight of each loss of general distillation."""

    masked_lm: Weight = 1.0
    """The weight of the cross-entropy against the teacher's predictions of masked words."""


@dataclass(frozen=True)
class LmRankerWeights(TeacherWeights, GeneralWeights):
    """The weight of each loss, those of general distillation included."""

    masked_lm: Weight = 1.0
    """The weight of the cross-entropy against the teacher's predictions of masked words."""


@STRATEGIES.register("lm_distill_fine_tune")
@dataclass(frozen=True)
class LmDistillFineTune(InternalsStrategy):
    """Distil the language model on plain text, then fine-tune the student on relevance labels.

    Equation: first L_attn + L_hidn + L_emb + L_mlm on text, where L_mlm is the cross-entropy between the student's and
    the teacher's predictions of masked words; then cross_entropy · CE(y, z) + listwise · CE over a query's list.
    Paper: Gao, Dai and Callan, Understanding BERT Rankers Under Distillation (ICTIR 2020), LM Distill + Fine-Tuning.
    Deviations: none in `paper`. The paper says that predictions of the language model are distilled, but the TinyBERT
    software that it builds on distils none: variant = "released_code" leaves L_mlm out. So does weights.masked_lm = 0,
    for a teacher without a head that predicts words. L_mlm needs masked tokens: [general] masking = "bert".
    Defaults: weights and temperature 1, as in the TinyBERT software; fine-tuning on pairs as in Nogueira and Cho.
    """

    paper: ClassVar[str] = PAPER

    cross_entropy: Weight = 1.0
    """The weight of the cross-entropy against each pair's label."""
    listwise: Weight = 0.0
    """The weight of the cross-entropy over each query's list; above 0, training reads lists."""
    weights: LmWeights = field(default_factory=LmWeights)
    """The weight of each loss; next_text, a loss of general distillation, needs [general] pairs = true."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return general distillation and fine-tuning."""
        general = self._general(self.weights, train, seed, self.weights.masked_lm)
        return [general, *FineTune(self.cross_entropy, self.listwise).stages(train, seed)]


@STRATEGIES.register("lm_distill_ranker_distill")
@dataclass(frozen=True)
class LmDistillRankerDistill(InternalsStrategy):
    """Distil the language model on plain text, then a fine-tuned ranker's intermediate layers and predictions.

    Equation: first L_attn + L_hidn + L_emb + L_mlm on text; then L_attn + L_hidn + L_emb + L_soft from the ranker.
    Paper: Gao, Dai and Callan, Understanding BERT Rankers Under Distillation (ICTIR 2020), LM Distill + Ranker Distill.
    Deviations: those of lm_distill_fine_tune and ranker_distill.
    Defaults: weights and temperature 1, as in the TinyBERT software.
    """

    paper: ClassVar[str] = PAPER

    one_step: bool = True
    """Whether intermediate layers and predictions are distilled in one step, instead of one after the other."""
    temperature: Positive = 1.0
    """The temperature that the logits of student and teacher are divided by before the softmax."""
    weights: LmRankerWeights = field(default_factory=LmRankerWeights)
    """The weight of each loss; next_text, a loss of general distillation, needs [general] pairs = true."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return general distillation and the task distillation."""
        weights = self.weights
        outputs = (self._soft(weights.soft, self.temperature),)
        task = self._task(weights, outputs, self.one_step, train, seed)
        return [self._general(weights, train, seed, weights.masked_lm), *task]
