"""How planes between key planes are best answered.

    PYTHONPATH=SAMUNetSlicer python Testing/Benchmarks/between_study.py DATA --set development --limit 4

Key planes are three of each target's, at a tenth, the middle and nine tenths of its extent: answered from the exact
box, answered from the box and two corrective points, or right, as if corrected by hand. Mean Dice over a source's
targets, on the planes between alone. Targets on fewer than five planes are left out.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from SAMUNetSlicerLib.checkpoints.catalogue import DEFAULT_MODEL
from SAMUNetSlicerLib.checkpoints.loading import load_network
from SAMUNetSlicerLib.evaluation.case_sets import read_case_set
from SAMUNetSlicerLib.evaluation.cases import PlaneCase, VolumeCase, volume_cases
from SAMUNetSlicerLib.evaluation.methods import ModelMethod
from SAMUNetSlicerLib.evaluation.protocols import case_generator, corrected_box, exact_box
from SAMUNetSlicerLib.inference.encoding.engines import EngineChoice, build_encode, kept_conversions_folder
from SAMUNetSlicerLib.inference.mask_geometry import dice
from SAMUNetSlicerLib.inference.predictor import PlaneMask, PlanePredictor
from SAMUNetSlicerLib.volumes.propagation.between import ShapeBetween
from SAMUNetSlicerLib.volumes.propagation.learnt_pixels import LearntPixels
from SAMUNetSlicerLib.volumes.propagation.steps import PlaneRange
from SAMUNetSlicerLib.volumes.propagation.walks import Propagation, PropagationPolicy

_PLACES = (0.1, 0.5, 0.9)
_FEWEST_PLANES = 5
_CORRECTIONS = 2
_IN_USE = PropagationPolicy().same_dice

# What is carried on (see `PropagationPolicy.same_dice`), and whether outlines and pixels have a voice.
_WAYS = {
    "box and point": (0.0, False, False),
    "the mask": (1.01, False, False),
    "the mask, where corrected": (_IN_USE, False, False),
    "with outlines": (_IN_USE, True, False),
    "and pixels (in use)": (_IN_USE, True, True),
}
_OUTLINES = "outlines alone"


def key_planes(case: VolumeCase, method: ModelMethod) -> dict[str, dict[int, PlaneMask]]:
    """Answers on the key planes, by how they came about; none where one of them is empty."""
    labelled = case.labelled_planes()
    numbers = sorted({int(labelled[round(place * (len(labelled) - 1))]) for place in _PLACES})
    kinds = defaultdict(dict)
    for number in numbers:
        target = case.target_on(number)
        plane = PlaneCase(case.source, case.case, f"{case.name} {number}", case.planes.image(number), target)
        rng = case_generator(0, "between", plane.name)
        (boxed,) = exact_box(plane, method, rng)
        corrected = [*corrected_box(plane, method, rng)][_CORRECTIONS - 1]
        kinds["exact box"][number] = boxed.answer
        kinds[f"+ {_CORRECTIONS} points"][number] = corrected.answer
        kinds["by hand"][number] = PlaneMask.certain(target, boxed.answer.crop)
    return {kind: keys for kind, keys in kinds.items() if all(answer.mask.any() for answer in keys.values())}


def dice_between(case: VolumeCase, found: Mapping[int, np.ndarray], keys: Mapping[int, PlaneMask]) -> float:
    """On the planes between the key planes together."""
    between = [i for i in range(min(keys), max(keys)) if i not in keys]
    targets = [case.target_on(i) for i in between]
    return dice(np.stack([found.get(i, t & False) for i, t in zip(between, targets, strict=True)]), np.stack(targets))


def by_outlines(keys: Mapping[int, PlaneMask]) -> dict[int, np.ndarray]:
    """Masks on the planes between, without any picture."""
    masks = {}
    for low, high in pairwise(sorted(keys)):
        shape = ShapeBetween.of(low, keys[low].mask, high, keys[high].mask)
        nothing = PlaneMask(np.zeros_like(keys[low].logits), None, keys[low].crop)
        for index in range(low + 1, high) if shape else ():
            masks[index] = shape.beside(nothing, index).mask
    return masks


def propagated(
    case: VolumeCase,
    predictor: PlanePredictor,
    keys: Mapping[int, PlaneMask],
    same_dice: float,
    with_outlines: bool,
    with_pixels: bool,
) -> dict[int, np.ndarray]:
    """Masks on the planes between, as `Propagation` finds them."""
    walk = Propagation(case.planes, predictor, PropagationPolicy(same_dice=same_dice))
    outlines = ShapeBetween.of if with_outlines else lambda *_: None
    pixels = LearntPixels.of if with_pixels else lambda _: None
    with patch.object(ShapeBetween, "of", outlines), patch.object(LearntPixels, "of", pixels):
        steps = [*walk.from_planes(keys, within=PlaneRange(min(keys), max(keys)))]
    return {step.index: step.answer.mask for step in steps if step.answer is not None}


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", default="development")
    parser.add_argument("--limit", type=int, default=4, help="targets of a source")
    arguments = parser.parse_args()
    model, device = load_network(DEFAULT_MODEL), torch.device("cpu")
    encode = build_encode(model.network, device, EngineChoice.AUTO, kept_conversions_folder() / model.identity)
    method = ModelMethod(DEFAULT_MODEL, PlanePredictor(model.network, encode_planes=encode))
    print(f"| source | key planes | targets | {' | '.join([_OUTLINES, *_WAYS])} |")
    print("| --- |" + " --- |" * (3 + len(_WAYS)))
    for source in read_case_set(arguments.set, arguments.data).sources:
        scores = defaultdict(list)
        for case in volume_cases(source, arguments.limit):
            if len(case.labelled_planes()) < _FEWEST_PLANES:
                continue
            for kind, keys in key_planes(case, method).items():
                found = [by_outlines(keys), *(propagated(case, method.predictor, keys, *way) for way in _WAYS.values())]
                scores[kind].append([dice_between(case, masks, keys) for masks in found])
        for kind, values in scores.items():
            cells = " | ".join(f"{value:.3f}" for value in np.mean(values, axis=0))
            print(f"| {source.name} | {kind} | {len(values)} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
