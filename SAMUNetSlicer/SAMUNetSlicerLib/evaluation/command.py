"""`samunet evaluate`: models and peers on the cases of a data folder, as CSV, Markdown tables and pictures."""

from __future__ import annotations

import argparse
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from ..atomic_file import check_destination, made_folder
from ..checkpoints.catalogue import DEFAULT_MODEL
from ..checkpoints.loading import LoadedModel, load_network
from ..errors import UserError
from ..extras import needing
from ..inference.devices import choose_working_device, describe_device
from ..inference.encoding.cache import EmbeddingCache
from ..inference.encoding.encoders import Encoder
from ..inference.encoding.engines import EngineChoice, build_encode, kept_conversions_folder
from ..inference.predictor import PlanePredictor
from ..inference.prompt_rules import check_answers_prompts
from ..inference.zoom import ZoomMode, ZoomPolicy
from ..option_types import count, distance, whole
from ..project import NAME, NOT_FOR_CLINICAL_USE, VERSION
from .case_sets import CaseSet, CaseSource, read_case_set
from .cases import plane_cases, volume_cases
from .methods import ModelMethod, PlaneMethod
from .peers import rule_methods
from .protocols import PLANE_PROTOCOLS
from .volume_methods import FixedBox, PropagatedBox, SeedsOnThreePlanes, VolumeMethod

HELP = "Measure models on images and volumes with reference masks: simulated prompts, scores, peers."

BASELINE_MODEL = "lite_medsam"
VOLUME_PROTOCOL = "volume"
DEFAULT_TOLERANCE = 2.0
RESULTS, REPORT = "results.csv", "report.md"
_ZOOM_NAMES = {ZoomMode.ADAPTIVE: "zoomed", ZoomMode.WHOLE_PLANE: "whole plane"}
_BASELINE_PEER, _RULES_PEER = "lite_medsam", "rules"

Case = TypeVar("Case")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    protocols = [*PLANE_PROTOCOLS, VOLUME_PROTOCOL]
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="root of the data")
    parser.add_argument(
        "--set", default="development", help="development (the default), unseen, or a TOML file of sources"
    )
    parser.add_argument(
        "--model", nargs="+", default=[DEFAULT_MODEL],
        help=f"model names or checkpoint files (default: {DEFAULT_MODEL})",
    )  # fmt: skip
    parser.add_argument(
        "--zoom", choices=[z.value for z in ZoomMode], default=ZoomMode.ADAPTIVE.value,
        help="encode a part around the prompts (default), or always the whole plane",
    )  # fmt: skip
    parser.add_argument(
        "--protocols", nargs="+", choices=protocols, default=list(PLANE_PROTOCOLS), metavar="NAME",
        help=f"simulated users: {', '.join(protocols)} (default: all but {VOLUME_PROTOCOL})",
    )  # fmt: skip
    parser.add_argument(
        "--peers", nargs="*", choices=[_BASELINE_PEER, _RULES_PEER], default=[_BASELINE_PEER, _RULES_PEER],
        help="also LiteMedSAM zoomed and whole, and rules without learning (default: both; nothing after it: none)",
    )  # fmt: skip
    parser.add_argument("--limit", type=count, metavar="N", help="at most N targets of each source, evenly spaced")
    parser.add_argument(
        "--tolerance", type=distance, default=DEFAULT_TOLERANCE, help="of NSD, in mm or pixels (default: %(default)g)"
    )
    parser.add_argument("--seed", type=whole, default=0, help="of jittered boxes, random points and intervals")
    parser.add_argument("--device", default="auto", help="auto (the default), cpu, cuda, mps")
    parser.add_argument(
        "--engine", choices=[e.value for e in EngineChoice], default=EngineChoice.TORCH.value,
        help="what encodes planes (default: torch, the reference)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the report")


def run_evaluation(arguments: argparse.Namespace) -> Path:
    """Evaluate and write results.csv, report.md and pictures into the output folder; the report's path.

    Interrupted, it writes what is finished. Raises UserError for unusable arguments, data or models, or where the
    packages of the extra `evaluate` are not installed.
    """
    with needing("evaluate"):
        from .contact_sheet import Extremes, write_contact_sheet
        from .report import ReportFacts, write_csv, write_markdown
        from .running import Result, Shown, evaluate_planes, evaluate_volumes
    cases = read_case_set(arguments.set, arguments.data)
    arena = _assemble(arguments)
    folder = _made(arguments.output)
    results: list[Result] = []
    sheets: dict[str, Extremes] = {}

    def take(shown: Shown) -> None:
        results.append(shown.result)
        if shown.result.method == arena.main_method:
            sheets.setdefault(shown.result.prompt, Extremes()).add(shown)

    planar = [PLANE_PROTOCOLS[name] for name in arguments.protocols if name in PLANE_PROTOCOLS]
    try:
        if planar:
            targets = _followed(cases.sources, plane_cases, arguments.limit)
            for shown in evaluate_planes(targets, arena.planes, planar, arguments.tolerance, arguments.seed):
                take(shown)
        if VOLUME_PROTOCOL in arguments.protocols:
            targets = _followed(cases.sources, volume_cases, arguments.limit)
            for shown in evaluate_volumes(targets, arena.volumes, arguments.tolerance):
                take(shown)
    finally:
        if results:
            facts = ReportFacts(
                f"Evaluation on the set '{cases.name}'", tuple(_lines(arguments, cases, arena)), cases.groups,
                arguments.seed,
            )  # fmt: skip
            write_csv(folder / RESULTS, results)
            write_markdown(folder / REPORT, results, facts)
            for prompt, extremes in sheets.items():
                name = prompt.replace(" + ", "_").replace(" ", "_")
                write_contact_sheet(folder / f"worst_best_{name}.png", extremes, f"{arena.main_method}, {prompt}")
    if not results:
        raise UserError(
            "Nothing was measured: the set has no targets for these protocols, or no model or peer understands their "
            "prompts. Choose other protocols or models."
        )
    return folder / REPORT


@dataclass(frozen=True)
class _Arena:
    """Who takes part. models: by their names in tables. main_method: whose worst and best answers are drawn."""

    models: dict[str, LoadedModel]
    planes: tuple[PlaneMethod, ...]
    volumes: tuple[VolumeMethod, ...]
    main_method: str
    device: torch.device


def _assemble(arguments: argparse.Namespace) -> _Arena:
    device = choose_working_device(arguments.device)
    wanted = [(name, (ZoomMode(arguments.zoom),)) for name in arguments.model]
    if _BASELINE_PEER in arguments.peers:
        wanted.append((BASELINE_MODEL, (ZoomMode.ADAPTIVE, ZoomMode.WHOLE_PLANE)))
    models = {name: load_network(name, device=device) for name in dict(wanted)}
    for model in models.values():
        check_answers_prompts(model.network.spec)
    labels = _labels(models)
    methods: dict[str, ModelMethod] = {}
    caches = {name: EmbeddingCache() for name in models}
    encoders = {name: _encoder(model, device, arguments.engine) for name, model in models.items()}
    for name, zooms in wanted:
        for zoom in zooms:
            predictor = PlanePredictor(models[name].network, device, ZoomPolicy(zoom), caches[name], encoders[name])
            method = ModelMethod(f"{labels[name]}, {_ZOOM_NAMES[zoom]}", predictor)
            methods.setdefault(method.name, method)
    volumes: list[VolumeMethod] = [PropagatedBox(method.name, method.predictor) for method in methods.values()]
    planes: list[PlaneMethod] = list(methods.values())
    if _BASELINE_PEER in arguments.peers:
        whole = methods[f"{labels[BASELINE_MODEL]}, {_ZOOM_NAMES[ZoomMode.WHOLE_PLANE]}"]
        volumes.append(FixedBox(f"{labels[BASELINE_MODEL]}, fixed box on every plane", whole.predictor))
    if _RULES_PEER in arguments.peers:
        planes += rule_methods().values()
        volumes.append(SeedsOnThreePlanes("grow from seeds"))
    named = {labels[name]: model for name, model in models.items()}
    return _Arena(named, tuple(planes), tuple(volumes), next(iter(methods)), device)


def _labels(models: Mapping[str, LoadedModel]) -> dict[str, str]:
    """The models' names in tables; files of one name, from several folders, are called as they were given."""
    times = Counter(model.name for model in models.values())
    return {given: model.name if times[model.name] == 1 else given for given, model in models.items()}


def _encoder(model: LoadedModel, device: torch.device, engine: str) -> Encoder:
    return build_encode(model.network, device, EngineChoice(engine), kept_conversions_folder() / model.identity)


def _followed(
    sources: Iterable[CaseSource], cases_of: Callable[[CaseSource, int | None], Iterator[Case]], limit: int | None
) -> Iterator[Case]:
    """All cases, with their number and source shown on the terminal."""
    from tqdm import tqdm

    with tqdm(unit="target", disable=None, dynamic_ncols=True) as bar:
        for source in sources:
            bar.set_postfix_str(source.name)
            for case in cases_of(source, limit):
                yield case
                bar.update()


def _lines(arguments: argparse.Namespace, cases: CaseSet, arena: _Arena) -> Iterator[str]:
    yield f"{NAME} {VERSION}. {NOT_FOR_CLINICAL_USE}"
    limit = "all targets" if arguments.limit is None else f"at most {arguments.limit} targets of each source"
    yield f"Set '{cases.name}', {limit}, seed {arguments.seed}; the target is the largest component of a label"
    for name, model in arena.models.items():
        yield f"Model {name}: family {model.family}, SHA-256 {model.sha256[:16]}..., licence {model.licence}"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    yield f"On {describe_device(arena.device)}, engine {arguments.engine}, {versions}"
    unit = f"{arguments.tolerance:g} mm, or {arguments.tolerance:g} px for pictures without a scale"
    yield f"NSD: tolerance {unit}. HD95: an empty answer counts as the image's diagonal"
    yield (
        "In brackets: 95 % bootstrap interval, cases drawn anew within each source. A mean over sources counts each "
        "source the same; its interval speaks of these sources, not of others"
    )
    if cases.missing:
        yield f"Not in the data folder: {', '.join(cases.missing)}"


def _made(folder: Path) -> Path:
    """The folder, in which the report can be written."""
    for name in (RESULTS, REPORT):
        check_destination(made_folder(folder) / name)
    return folder
