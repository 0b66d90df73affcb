"""Presets of DivRL, typed, and what a user may change of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from evalkit.content import read_yaml
from evalkit.errors import DataError, UsageError
from evalkit.nouns.base import Name, Noun
from evalkit.registry import METRICS, load, unknown
from evalkit.rl.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

RewardKind = Literal["nssm", "gated", "vsm", "linear"]
ABLATIONS: Mapping[str, tuple[RewardKind, ...]] = MappingProxyType(
    {"none": (), "nssm_only": ("nssm",), "vsm_only": ("vsm",), "linear": ("linear",)}
)
"""Rewards of the single stage that an ablation trains as long as all stages together; none for the method itself."""
FEATURES = MappingProxyType({"mtg": {}, "dinov2": {"nssm": "dino_nssm@divrl", "vsm": "sdino@divrl_unmasked"}})
"""What replaces a preset's metrics: appendix C computes both rewards on DINOv2."""
NUMBERS = MappingProxyType({"threshold": 1.0, "weight": 1000.0, "share": 1.0})
"""The rewards' numbers that can be given, each from 0, with the most it may be."""


class Base(Noun):
    """The base model and its adapter."""

    side: int = Field(ge=16)
    """Pixels of a training sample."""
    text_tokens: int = Field(ge=1)
    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    guidance: float = Field(gt=0)
    save_memory: bool = False
    """Recompute activations instead of keeping them."""


class Stage(Noun):
    """One training with one reward."""

    name: Name
    reward: RewardKind
    continues: bool = True
    """Whether it goes on from the stage before."""
    epochs: int | None = Field(default=None, ge=1)
    """How long, if not as long as the trainer says."""


class Preset(Noun):
    """A whole training."""

    meaning: str
    base: Base
    nssm: str
    """`metric@variant` of the diversity reward."""
    vsm: str
    """`metric@variant` of the consistency gate."""
    threshold: float = 0.5
    """s: consistency below it is punished."""
    weight: float = Field(default=5.0, ge=0)
    """lambda of the punishment."""
    share: float = Field(default=0.5, ge=0, le=1)
    """w of the ablation `linear`: w VSM + (1 - w) nSSM."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    trainer: Settings

    def with_options(self, options: Mapping[str, str]) -> Preset:
        """The preset with an ablation, other features or another length. Raises UsageError for what does not fit."""
        ablation = _one(options, "ablation", list(ABLATIONS), "none")
        features = _one(options, "features", list(FEATURES), "mtg")
        changed: dict[str, Any] = dict(FEATURES[features])
        trainer = self.trainer
        if "batch" in options:
            trainer = self.at_a_time(whole_number(options, "batch", 1, 1)).trainer
        stages = self.stages
        if "epochs" in options:
            epochs = whole_number(options, "epochs", 1, 1)
            stages = tuple(stage.model_copy(update={"epochs": epochs}) for stage in stages)
        if rewards := ABLATIONS[ablation]:
            whole = sum(stage.epochs or trainer.epochs for stage in stages)
            stages = tuple(Stage(name=ablation, reward=reward, epochs=whole) for reward in rewards)
        changed["stages"] = stages
        changed |= {name: number(options, name, most) for name, most in NUMBERS.items() if name in options}
        made = self.model_copy(update={**changed, "trainer": trainer})
        made._refuse_idle(options)
        return made

    def settings(self, stage: Stage, *, seed: int) -> Settings:
        """What the trainer is told of a stage."""
        return self.trainer.model_copy(update={"epochs": stage.epochs or self.trainer.epochs, "seed": seed})

    def at_a_time(self, batch: int) -> Preset:
        """The preset with so many samples at a time, in rollouts and in updates."""
        told = {"rollout_batch": batch, "micro_batch": batch}
        return self.model_copy(update={"trainer": self.trainer.model_copy(update=told)})

    def _refuse_idle(self, options: Mapping[str, str]) -> None:
        kinds = {stage.reward for stage in self.stages}
        for name in sorted(set(options) & set(NUMBERS)):
            wanted = "linear" if name == "share" else "gated"
            if wanted not in kinds:
                raise UsageError(
                    f"wanted options that do something, found {name}, which only the reward {wanted!r} reads; this training "
                    f"has {', '.join(sorted(kinds))}"
                )

    def reward_families(self) -> tuple[str, ...]:
        """Families of the metrics that the stages reward: a table marks them as in-domain."""
        kinds = {stage.reward for stage in self.stages}
        used = [self.nssm] if kinds != {"vsm"} else []
        used += [self.vsm] if kinds != {"nssm"} else []
        parts = [text.split("@") for text in used]
        return tuple(load(METRICS, name).card.family(variant) for name, variant in parts)


@cache
def presets() -> Mapping[str, Preset]:
    """Every preset by name. Raises DataError where the file does not validate."""
    path = Path(__file__).with_name("presets.yaml")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise DataError(f"{path}: wanted a mapping of presets, found {type(data).__name__}; install evalkit again")
    return MappingProxyType({name: Preset.read(told, where=f"{path}: {name}") for name, told in data.items()})


def preset(name: str) -> Preset:
    """The preset of that name. Raises UsageError with the nearest names."""
    if name not in presets():
        raise UsageError(unknown("preset of divrl", name, list(presets()), "evalkit describe method divrl"))
    return presets()[name]


def _one(options: Mapping[str, str], name: str, known: list[str], default: str) -> str:
    value = options.get(name, default)
    if value not in known:
        raise UsageError(unknown(f"value of {name}", value, known, "evalkit describe method divrl"))
    return value


def whole_number(options: Mapping[str, str], name: str, least: int, default: int) -> int:
    """The option as a number of `least` to 100000, `default` where it was not given. Raises UsageError."""
    try:
        value = int(options.get(name, default))
    except ValueError:
        value = -1
    if not least <= value <= 100_000:
        raise UsageError(f"wanted {name} from {least} to 100000, found {options[name]!r}; give a whole number")
    return value


def number(options: Mapping[str, str], name: str, most: float) -> float:
    """The option as a number from 0 to `most`. Raises UsageError."""
    try:
        value = float(options[name])
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise UsageError(f"wanted {name} from 0 to {most:g}, found {options[name]!r}; give a number between them")
    return value
