"""Which rule carries a mask best from plane to plane, and whether low confidence finds the bad planes.

`samunet evaluate-propagation` runs every rule from the exact box on the median plane of each 3D target and tells, by
rule, the mean 3D Dice over sources and the AUC of "confidence says that this plane's Dice is below .8".
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu

from ..atomic_file import written_whole
from ..checkpoints.loading import load_network
from ..errors import InputError
from ..inference.devices import choose_device
from ..inference.engines import EngineChoice, build_encode, kept_conversions_folder
from ..inference.predictor import PlanePredictor
from ..inference.prompts import PlanePrompts, bounding_box_xyxy
from ..volumes.propagation import NeighbourRule, Propagation, PropagationPolicy
from ..volumes.sampling import mask_to_voxels
from .case_sets import read_case_set
from .cases import VolumeCase, volume_cases

HELP = "Compare the rules of propagation and test the confidences, on 3D targets."
BAD_DICE = 0.8
DEFAULT_MODEL = "lite_medsam"


@dataclass(frozen=True)
class PlaneTrust:
    """A propagated plane that shows the target: what was believed of it, and what it was."""

    confidence: float
    dice: float


@dataclass(frozen=True)
class Walked:
    """One target, propagated with one rule."""

    source: str
    case: str
    dice: float
    planes: tuple[PlaneTrust, ...]


def walk(case: VolumeCase, predictor: PlanePredictor, rule: NeighbourRule) -> Walked:
    """Propagate the exact box of the target's median plane to both ends."""
    labelled = case.labelled_planes()
    start = int(labelled[len(labelled) // 2])
    prompts = PlanePrompts(box_xyxy=bounding_box_xyxy(case.target_on(start)))
    answer = predictor.predict(case.planes.image(start), prompts)
    found = np.zeros(case.target_kji.shape, dtype=bool)
    mask_to_voxels(answer.logits, case.planes.stack[start], case.geometry).write_into(found)
    planes = []
    for step in Propagation(case.planes, predictor, PropagationPolicy(rule=rule)).from_plane(start, answer):
        if step.answer is not None:
            mask_to_voxels(step.answer.logits, case.planes.stack[step.index], case.geometry).write_into(found)
            target = case.target_on(step.index)
            planes.append(PlaneTrust(step.confidence, dice(step.answer.mask, target)))
    return Walked(case.source, case.case, dice(found, case.target_kji), tuple(planes))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two bool masks; 1 where both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 1.0 if total == 0 else 2 * np.count_nonzero(a & b) / total


def auc_of_bad_planes(planes: Iterable[PlaneTrust], bad_below: float = BAD_DICE) -> float | None:
    """Chance that a bad plane has the lower confidence of a bad and a good one; None where there is no such pair."""
    planes = list(planes)
    bad = [p.confidence for p in planes if p.dice < bad_below]
    good = [p.confidence for p in planes if p.dice >= bad_below]
    if not bad or not good:
        return None
    return float(mannwhitneyu(good, bad).statistic / (len(good) * len(bad)))


def table(results: dict[NeighbourRule, Sequence[Walked]]) -> str:
    """Markdown: rules as rows; mean Dice over sources, each source, planes, bad planes, AUC."""
    sources = sorted({w.source for walked in results.values() for w in walked})
    names = " | ".join(sources)
    lines = [
        f"| rule | Dice, mean over sources | {names} | planes | Dice < {BAD_DICE:g} | AUC of confidence |",
        "| --- |" + " --- |" * (len(sources) + 4),
    ]
    for rule, walked in results.items():
        by_source = defaultdict(list)
        for w in walked:
            by_source[w.source].append(w.dice)
        means = [float(np.mean(by_source[source])) for source in sources]
        planes = [p for w in walked for p in w.planes]
        auc = auc_of_bad_planes(planes)
        bad = sum(p.dice < BAD_DICE for p in planes)
        cells = [rule.value, f"{np.mean(means):.3f}", *(f"{m:.3f}" for m in means), str(len(planes)), str(bad)]
        lines.append(f"| {' | '.join([*cells, 'none' if auc is None else f'{auc:.3f}'])} |")
    return "\n".join(lines) + "\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="root of the data")
    parser.add_argument("--set", default="development", help="development, unseen, or a TOML file of sources")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="model name or checkpoint file")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N targets of each source")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--engine", choices=[e.value for e in EngineChoice], default=EngineChoice.AUTO.value)
    parser.add_argument("--output", type=Path, required=True, help="Markdown file to write")


def run_study(arguments: argparse.Namespace) -> str:
    """Run the study, write its Markdown table and return it. Raises InputError for a set without volumes."""
    device = choose_device(arguments.device)
    model = load_network(arguments.model, device=device)
    engine = EngineChoice(arguments.engine)
    encode = build_encode(model.network, device, engine, kept_conversions_folder() / model.identity)
    predictor = PlanePredictor(model.network, device, encode_planes=encode)
    results: dict[NeighbourRule, list[Walked]] = {rule: [] for rule in NeighbourRule}
    for source in read_case_set(arguments.set, arguments.data).sources:
        for case in volume_cases(source, arguments.limit):
            for rule in NeighbourRule:
                results[rule].append(walk(case, predictor, rule))
    if not any(results.values()):
        raise InputError("The set has no volumes with a target.")
    text = table(results)
    with written_whole(arguments.output) as stream:
        stream.write(text.encode())
    return text
