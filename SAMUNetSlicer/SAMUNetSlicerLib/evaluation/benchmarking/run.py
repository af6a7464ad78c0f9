"""The whole benchmark, model by model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ...checkpoints.catalogue import DEFAULT_MODEL, read_catalogue
from ...checkpoints.loading import LoadedModel, load_network, locate
from ...errors import ModelError
from ...inference.encoding.encoders import Precision
from ...inference.encoding.engines import EngineChoice, build_encode
from ...inference.opening import open_predictor
from ...inference.predictor import PlanePredictor
from ...networks.base import PromptedNetwork
from ...networks.registry import FAMILIES, build
from .fresh_process import measure_session, session_rows
from .machine import MatrixRates
from .plane_rows import measure_plane, plane_rows
from .propagation_rows import block_row, propagation_rows
from .table import Row

_ENCODE_TARGET, _ENCODE_TARGET_AMX = 2, 4


@dataclass(frozen=True)
class Extent:
    """How much is measured: repetitions of short works; planes of a propagation, of a polled one, of a session."""

    repetitions: int = 7
    propagated: int = 100
    blocked: int = 20
    planes: int = 100
    more_planes: int = 400


@dataclass(frozen=True)
class Subject:
    """What is measured: a model with its weights, or a network with random ones, whose speed is the same."""

    name: str
    loaded: LoadedModel | None
    predictor: PlanePredictor

    @property
    def title(self) -> str:
        return self.name if self.loaded else f"{self.name} (random weights: speed alone)"


def default_models() -> list[str]:
    """The default, and the network of the paper."""
    return [DEFAULT_MODEL, "sam_unet_res34"]


def has_weights(name: str) -> bool:
    """Whether a model or file of this name is here. Raises ModelError where it is no network family either."""
    try:
        locate(name, read_catalogue())
    except ModelError:
        if name not in FAMILIES:
            raise
        return False
    return True


def open_subject(name: str, device: torch.device, engine: EngineChoice) -> Subject:
    """A model by its name or file; a family that is not installed gets random weights. Raises ModelError, also for
    networks that take no prompts.
    """
    loaded = load_network(name, device=device) if has_weights(name) else None
    network = loaded.network if loaded else _random(name).to(device)
    if network.spec.classes:
        raise ModelError(f"{name} takes no prompts, which are what is measured. Choose another model.")
    if loaded:
        return Subject(name, loaded, open_predictor(loaded, device, engine=engine))
    encode = build_encode(network, device, engine, precision=Precision.AUTO)
    return Subject(name, None, PlanePredictor(network, device, encode_planes=encode))


def _random(family: str) -> PromptedNetwork:
    torch.manual_seed(0)
    return build(family, device="cpu")


def measure(
    subject: Subject,
    rates: MatrixRates,
    engine: EngineChoice,
    extent: Extent,
    has_amx: bool,
    told: Callable[[str], None],
) -> Iterator[Row]:
    """Every row of one model, as they are found. told: what is going on, for whoever waits."""
    predictor = subject.predictor
    told("one plane")
    times = measure_plane(predictor, extent.repetitions)
    target = _ENCODE_TARGET_AMX if has_amx else _ENCODE_TARGET
    yield from plane_rows(times, rates, predictor, target)
    if subject.loaded is None:
        return
    told(f"propagation over {extent.propagated} planes, ours and (a)'s in turns")
    yield from propagation_rows(predictor, extent.propagated)
    yield block_row(predictor, extent.blocked, times.forward)
    told(f"a new process with {extent.more_planes} planes")
    facts = measure_session(subject.name, str(predictor.device), engine.value, extent.planes, extent.more_planes)
    yield from session_rows(facts, times.forward, extent.planes, extent.more_planes)
