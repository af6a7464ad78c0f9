"""What happens to prompts that a model was not trained for.

A network trained for boxes only answers a lone point with an empty mask, silently. So prompts that its weights were
not trained for are never passed on. They are converted or left out by these rules, and the user is told each time:

| the model knows | given | done |
| --- | --- | --- |
| boxes only | box and points | the points are left out |
| boxes only | box and mask | the mask is left out |
| boxes only | two or more positive points, no box | their bounding box is used; negative points are left out |
| boxes only | a mask alone | its bounding box is used |
| boxes only | one point | refused |
| no mask prompts | points and mask | the mask is left out |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import ModelError, PromptError
from ..networks.base import NetworkSpec, PromptKind
from .prompts import PlanePrompts, bounding_box_xyxy


@dataclass(frozen=True)
class AdmittedPrompts:
    """Prompts that the model was trained for, and what the user must be told about the others."""

    prompts: PlanePrompts
    notes: tuple[str, ...] = ()


def kinds_of(prompts: PlanePrompts) -> PromptKind:
    kinds = PromptKind.NONE
    if prompts.points_xy:
        kinds |= PromptKind.POINTS
    if prompts.box_xyxy is not None:
        kinds |= PromptKind.BOX
    if prompts.mask is not None:
        kinds |= PromptKind.MASK
    return kinds


def admit(prompts: PlanePrompts, trained: PromptKind, model_name: str) -> AdmittedPrompts:
    """Apply the table above. Raises PromptError where nothing usable is left."""
    notes = []
    if prompts.box_xyxy is None and PromptKind.BOX in trained:
        prompts, notes = _with_box(prompts, trained, model_name)
    unknown = kinds_of(prompts) & ~trained
    if PromptKind.POINTS in unknown:
        notes.append(f"The model {model_name} was not trained for points: they were left out.")
        prompts = replace(prompts, points_xy=(), signs=())
    if PromptKind.MASK in unknown:
        notes.append(f"The model {model_name} was not trained for mask prompts: the mask was left out.")
        prompts = replace(prompts, mask=None)
    return AdmittedPrompts(prompts, tuple(notes))


def _with_box(prompts: PlanePrompts, trained: PromptKind, model_name: str) -> tuple[PlanePrompts, list[str]]:
    """Give box-less prompts a box where the kinds that the model knows would leave nothing."""
    if kinds_of(prompts) & trained:
        return prompts, []
    if prompts.mask is not None:
        box = bounding_box_xyxy(prompts.mask > 0)
        return replace(prompts, box_xyxy=box), [f"{model_name} knows boxes only: the mask's bounding box was used."]
    positive = prompts.positive_xy
    if len(positive) >= 2:
        pixels = np.floor(positive + 0.5)
        low, high = pixels.min(axis=0), pixels.max(axis=0) + 1
        note = f"{model_name} knows boxes only: the bounding box of the {len(positive)} positive points was used."
        return replace(prompts, box_xyxy=(*low, *high)), [note]
    raise PromptError(
        f"The model {model_name} knows boxes only. Draw a box around the object, "
        "or place two or more points on its outer border, or choose a model that knows points."
    )


def check_answers_prompts(spec: NetworkSpec) -> None:
    """Raise ModelError for a network that cannot answer prompts plane by plane."""
    if spec.classes:
        raise ModelError(f"The model {spec.family} finds its classes by itself. Leave points and boxes out.")
    if spec.stack > 1:
        raise ModelError(
            f"The model {spec.family} looks at {spec.stack} planes together, which is not offered for prompts. "
            "Use its plane-by-plane form (--family med_sa)."
        )
