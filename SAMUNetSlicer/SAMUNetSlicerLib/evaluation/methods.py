"""What answers prompts on a plane: a model, or a rule without learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..inference.predictor import PlaneImage, PlaneMask, PlanePredictor
from ..inference.prompts import PlanePrompts
from ..inference.zoom import Crop
from ..networks.base import PromptKind


class PlaneMethod(Protocol):
    """name: of the method in tables. kinds: the prompts that it understands. corrects: whether points after the first
    make its answer better.
    """

    name: str
    corrects: bool

    @property
    def kinds(self) -> PromptKind: ...

    def answer(self, image: PlaneImage, prompts: PlanePrompts, earlier: PlaneMask | None = None) -> PlaneMask:
        """The mask for the prompts. earlier: the answer to the prompts before the latest one was added."""


@dataclass(frozen=True)
class ModelMethod:
    """A network behind a predictor, which also says how it zooms."""

    name: str
    predictor: PlanePredictor
    corrects: bool = True

    @property
    def kinds(self) -> PromptKind:
        return self.predictor.trained_prompts

    def answer(self, image: PlaneImage, prompts: PlanePrompts, earlier: PlaneMask | None = None) -> PlaneMask:
        return self.predictor.predict(image, prompts, earlier.crop if earlier else None)


@dataclass(frozen=True)
class RuleMethod:
    """A rule: draw(rgb (H, W, 3), prompts) gives a (H, W) bool mask."""

    name: str
    kinds: PromptKind
    draw: Callable[[np.ndarray, PlanePrompts], np.ndarray]
    corrects: bool = False

    def answer(self, image: PlaneImage, prompts: PlanePrompts, earlier: PlaneMask | None = None) -> PlaneMask:
        mask = self.draw(image.rgb, prompts)
        height, width = image.size_hw
        return PlaneMask(np.where(mask, np.float32(1), np.float32(-1)), None, Crop(0, 0, width, height))
