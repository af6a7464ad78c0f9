"""All choices of a training, as a configuration states them."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from ..errors import InputError
from .losses import LossWeights
from .prompts import FirstPrompt, Habits

CONFIGURATIONS = Path(__file__).parent / "configs"

# From which number each choice is a whole one; the smallest and the largest that others can be, of lists each number.
_WHOLE = {
    **dict.fromkeys(("steps", "images", "accumulation", "objects", "checkpoint_every"), 1),
    **dict.fromkeys(("warm_up", "seed"), 0),
}
_RANGES = {
    **dict.fromkeys(("cool_down", "milestones", "decay", "exact_boxes", "negative_points"), (0, 1)),
    **dict.fromkeys(("rate", "pretrained_rate", "weight_decay", "clip", "jitter", "shift"), (0, math.inf)),
    **dict.fromkeys(("dice", "cross_entropy", "focal", "quality", "focal_gamma"), (0, math.inf)),
}


class Optimizer(StrEnum):
    ADAMW = "adamw"
    ADAM = "adam"


class ForwardPrecision(StrEnum):
    """Parameters and moments are float32 with either. Hardware that does not compute in bfloat16 takes float32."""

    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


class Draw(StrEnum):
    """How the objects of one picture are chosen."""

    DISTINCT = "distinct"  # again only where there are too few
    REPLACED = "replaced"


@dataclass(frozen=True)
class TrainingSettings:
    """family: of the network. steps: in all. images: a step and process, in each of `accumulation` parts, one after
    the other, whose gradients are averaged. objects: of each image.

    rounds: shares of 1, 2, 3 .. rounds of prompts. warm_up: steps of rising rate; cool_down: share of the steps at the
    end in which it falls along a cosine; milestones: shares of the steps after which it is halved.
    pretrained_rate: where LiteMedSAM's weights are the start. clip: of the gradient's norm, 0 for none.
    decay: of the weights' moving average. loss_side: side of the grid on which answers are compared, in pixels.
    """

    family: str = "sam_unet_tiny"
    steps: int = 2000
    images: int = 6
    accumulation: int = 1
    objects: int = 3
    draw: Draw = Draw.DISTINCT
    rounds: tuple[float, ...] = (0.25, 0.5, 0.25)
    optimizer: Optimizer = Optimizer.ADAMW
    rate: float = 1e-3
    pretrained_rate: float = 1e-4
    weight_decay: float = 0.02
    warm_up: int = 60
    cool_down: float = 0.3
    milestones: tuple[float, ...] = ()
    clip: float = 1.0
    decay: float = 0.99
    precision: ForwardPrecision = ForwardPrecision.BFLOAT16
    loss_side: int = 128
    seed: int = 0
    checkpoint_every: int = 50
    loss: LossWeights = field(default_factory=LossWeights)
    habits: Habits = field(default_factory=Habits)


def rate_factor(step: int, settings: TrainingSettings) -> float:
    """Warm up, stay or be halved at the milestones, and come down along a half cosine."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    factor = 0.5 ** sum(step >= share * settings.steps for share in settings.milestones)
    start = settings.steps * (1 - settings.cool_down)
    if step < start or settings.cool_down == 0:
        return factor
    return factor * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - start) / (settings.steps - start)))))


def locate_configuration(name_or_path: str | Path) -> Path:
    """The file of a shipped configuration named without its ending, or the path itself. Raises InputError."""
    for path in (CONFIGURATIONS / f"{name_or_path}.toml", Path(name_or_path)):
        if path.is_file():
            return path
    shipped = ", ".join(sorted(path.stem for path in CONFIGURATIONS.glob("*.toml")))
    raise InputError(f"There is neither a file nor a shipped configuration named '{name_or_path}'. Shipped: {shipped}.")


def read_settings(config: str | Path) -> TrainingSettings:
    """The table `training` of a shipped configuration or of a TOML or JSON file. Raises InputError."""
    config = locate_configuration(config)
    try:
        text = config.read_text(encoding="utf-8")
        table = (json.loads(text) if config.suffix == ".json" else tomllib.loads(text))["training"]
        values = _with_tuples(table)
        for name, kind in (("draw", Draw), ("optimizer", Optimizer), ("precision", ForwardPrecision)):
            if name in values:
                values[name] = kind(values[name])
        loss = LossWeights(**_with_tuples(values.pop("loss", {})))
        habits = Habits(**_with_tuples(values.pop("habits", {})))
        settings = TrainingSettings(loss=loss, habits=habits, **values)
        _check(settings)
        return settings
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{config} is not a training configuration: {error}.") from error


def _check(settings: TrainingSettings) -> None:
    """Raises ValueError for what would end a training only when it is under way, TypeError for text."""
    for part in (settings, settings.loss, settings.habits):
        for entry in fields(part):
            value = getattr(part, entry.name)
            if isinstance(entry.default, int | float | tuple):
                for number in value if isinstance(value, tuple) else (value,):
                    _check_number(entry.name, number)
    for name, shares in (("rounds", settings.rounds), ("shares", settings.habits.shares)):
        if min(shares, default=-1) < 0 or not math.isclose(sum(shares), 1, rel_tol=0, abs_tol=1e-8):
            raise ValueError(f"{name} are not shares whose sum is 1")
    if len(settings.habits.shares) > len(FirstPrompt):
        raise ValueError(f"there are only {len(FirstPrompt)} first prompts to have shares")
    if settings.loss_side not in (64, 128, 256):
        raise ValueError("loss_side is not 64, 128 or 256")


def _check_number(name: str, number: object) -> None:
    if not _is_number(number):
        raise TypeError(f"{name} is not a number")
    if name in _WHOLE and (number < _WHOLE[name] or number % 1):
        raise ValueError(f"{name} is not a whole number from {_WHOLE[name]}")
    low, high = _RANGES.get(name, (-math.inf, math.inf))
    if not low <= number <= high:
        raise ValueError(f"{name} is below {low}" if high == math.inf else f"{name} is not from {low} to {high}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _with_tuples(table: dict) -> dict:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
