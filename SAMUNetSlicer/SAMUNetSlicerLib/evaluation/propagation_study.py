"""Which rule carries a mask best from plane to plane, and whether low confidence finds the bad planes.

`samunet evaluate-propagation` runs every rule from the exact box on the median plane of each 3D target and tells, by
rule, the mean 3D Dice over sources and the AUC of "confidence says that this plane's Dice is below .8".
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.stats import mannwhitneyu

from ..atomic_file import check_destination, written_whole
from ..checkpoints.catalogue import DEFAULT_MODEL
from ..checkpoints.loading import load_network
from ..errors import InputError
from ..inference.agreement import Calibration, Evidence
from ..inference.devices import choose_working_device
from ..inference.encoding.engines import EngineChoice, build_encode, kept_conversions_folder
from ..inference.mask_geometry import dice
from ..inference.predictor import PlanePredictor
from ..inference.prompt_rules import check_answers_prompts
from ..inference.prompts import PlanePrompts, bounding_box_xyxy
from ..option_types import count
from ..volumes.propagation.walks import NeighbourRule, Propagation, PropagationPolicy
from ..volumes.sampling import mask_to_voxels
from .case_sets import read_case_set
from .cases import VolumeCase, volume_cases

HELP = "Compare the rules of propagation and test the confidences, on 3D targets."
BAD_DICE = 0.8
_RIDGE = 1e-4
_BIN = 0.2  # of confidences, in the table


@dataclass(frozen=True)
class PlaneTrust:
    """A propagated plane: what was believed of it, on what evidence, and what it was."""

    confidence: float
    evidence: Evidence
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
            planes.append(PlaneTrust(step.confidence, step.evidence, dice(step.answer.mask, target)))
    return Walked(case.source, case.case, dice(found, case.target_kji), tuple(planes))


Belief = Callable[[PlaneTrust], float]


def auc_of_bad_planes(planes: Iterable[PlaneTrust], belief: Belief = lambda plane: plane.confidence) -> float | None:
    """Chance that a bad plane is believed less than a good one; None where there is no such pair."""
    planes = list(planes)
    bad = [belief(p) for p in planes if p.dice < BAD_DICE]
    good = [belief(p) for p in planes if p.dice >= BAD_DICE]
    if not bad or not good:
        return None
    return float(mannwhitneyu(good, bad).statistic / (len(good) * len(bad)))


def fit_calibration(planes: Sequence[PlaneTrust]) -> Calibration:
    """The logistic model of `Evidence` that best tells good planes from bad ones, of which there must be some of each;
    weights are never negative.

    Good and bad planes count the same in all, since their shares depend on the object; a small ridge keeps the weights
    finite where the planes can be told apart perfectly.
    """
    evidence = np.array([astuple(p.evidence) for p in planes])
    good = np.array([p.dice >= BAD_DICE for p in planes])
    counts = np.where(good, 0.5 / good.sum(), 0.5 / (~good).sum())

    def cost(parameters: np.ndarray) -> float:
        margin = (parameters[0] + evidence @ parameters[1:]) * np.where(good, 1, -1)
        return float((counts * np.logaddexp(0, -margin)).sum() + _RIDGE * np.square(parameters[1:]).sum())

    bounds = [(None, None)] + [(0, None)] * evidence.shape[1]
    found = minimize(cost, np.zeros(1 + evidence.shape[1]), method="L-BFGS-B", bounds=bounds).x
    return Calibration(float(found[0]), tuple(float(w) for w in found[1:]))


def trust_table(planes: Sequence[PlaneTrust]) -> str:
    """Markdown: how well the confidence and each part of its evidence find the bad planes, and what was fitted here."""
    beliefs: dict[str, Belief] = {"confidence": lambda p: p.confidence}
    for number, part in enumerate(fields(Evidence)):
        beliefs[f"{part.name} alone"] = lambda p, number=number: astuple(p.evidence)[number]
    beliefs["their product (support)"] = lambda p: p.evidence.support
    lines = [f"| belief | AUC of Dice < {BAD_DICE:g} |", "| --- | --- |"]
    for name, belief in beliefs.items():
        auc = auc_of_bad_planes(planes, belief)
        lines.append(f"| {name} | {'none' if auc is None else f'{auc:.3f}'} |")
    lines += ["", f"| confidence | planes | of these Dice >= {BAD_DICE:g} |", "| --- | --- | --- |"]
    for low in np.arange(0, 1, _BIN):
        inside = [p for p in planes if low <= p.confidence < low + _BIN or (p.confidence == 1 and low + _BIN >= 1)]
        if inside:
            share = np.mean([p.dice >= BAD_DICE for p in inside])
            lines.append(f"| {low:.1f} to {low + _BIN:.1f} | {len(inside)} | {share:.2f} |")
    if auc_of_bad_planes(planes) is None:
        return "\n".join([*lines, "", "Nothing was fitted: that takes good planes and bad ones.", ""])
    fitted = fit_calibration(planes)
    weights = ", ".join(f"{w:.2f}" for w in fitted.weights)
    return "\n".join([*lines, "", f"Fitted on these planes: bias {fitted.bias:.2f}, weights {weights}.", ""])


def mean_over_sources(walked: Sequence[Walked]) -> float:
    """Mean Dice, each source counting the same."""
    by_source = defaultdict(list)
    for w in walked:
        by_source[w.source].append(w.dice)
    return float(np.mean([np.mean(values) for values in by_source.values()]))


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
        cells = [
            rule.value,
            f"{mean_over_sources(walked):.3f}",
            *(f"{m:.3f}" for m in means),
            str(len(planes)),
            str(bad),
        ]
        lines.append(f"| {' | '.join([*cells, 'none' if auc is None else f'{auc:.3f}'])} |")
    return "\n".join(lines) + "\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="root of the data")
    parser.add_argument(
        "--set", default="development", help="development (the default), unseen, or a TOML file of sources"
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help=f"model name or checkpoint file (default: {DEFAULT_MODEL})"
    )
    parser.add_argument("--limit", type=count, metavar="N", help="at most N targets of each source")
    parser.add_argument("--device", default="auto", help="auto (the default), cpu, cuda, mps")
    parser.add_argument(
        "--engine", choices=[e.value for e in EngineChoice], default=EngineChoice.AUTO.value,
        help="what encodes planes (default: OpenVINO where it is installed and the processor computes)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, help="Markdown file to write")


def run_study(arguments: argparse.Namespace) -> str:
    """Run the study, write its Markdown table and return it. Interrupted, it writes what is finished.

    Raises InputError for a set without volumes, OutputError (before the work) where the table cannot be written.
    """
    check_destination(arguments.output)
    device = choose_working_device(arguments.device)
    model = load_network(arguments.model, device=device)
    check_answers_prompts(model.network.spec)
    engine = EngineChoice(arguments.engine)
    encode = build_encode(model.network, device, engine, kept_conversions_folder() / model.identity)
    predictor = PlanePredictor(model.network, device, encode_planes=encode)
    cases = read_case_set(arguments.set, arguments.data)
    results: dict[NeighbourRule, list[Walked]] = {rule: [] for rule in NeighbourRule}
    text = ""
    try:
        for source in cases.sources:
            for case in volume_cases(source, arguments.limit):
                walks = {rule: walk(case, predictor, rule) for rule in NeighbourRule}
                for rule, walked in walks.items():
                    results[rule].append(walked)
    finally:
        if any(results.values()):
            text = _report(results)
            with written_whole(arguments.output) as stream:
                stream.write(text.encode())
    if not text:
        raise InputError("The set has no volumes with a target.")
    return text


def _report(results: dict[NeighbourRule, list[Walked]]) -> str:
    """The table of the rules, and what the confidences of the best one are worth."""
    best = max(results, key=lambda rule: mean_over_sources(results[rule]))
    planes = [p for walked in results[best] for p in walked.planes]
    return f"{table(results)}\nThe rule '{best.value}':\n\n{trust_table(planes)}"
