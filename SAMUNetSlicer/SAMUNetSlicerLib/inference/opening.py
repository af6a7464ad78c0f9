"""From a loaded model to a predictor, in one way for the command line, the panel and the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import torch

from ..checkpoints.loading import LoadedModel
from .encoding.conversion_process import ConversionJob
from .encoding.disk_cache import DiskCache, ModelEncodings
from .encoding.encoders import Precision
from .encoding.engines import EngineChoice, build_encode, kept_conversions_folder
from .encoding.openvino_encoder import OpenVinoEncoder
from .jobs import Job
from .notes import NO_OPENVINO
from .predictor import PlanePredictor
from .zoom import ZoomPolicy


def open_predictor(
    model: LoadedModel,
    device: torch.device,
    zoom: ZoomPolicy | None = None,
    engine: EngineChoice = EngineChoice.AUTO,
    precision: Precision = Precision.AUTO,
    told: Callable[[str], None] = lambda _message: None,
    disk_cache: DiskCache | None = None,
) -> PlanePredictor:
    """What answers prompts with `model` on `device`.

    told: called with a sentence when a shortage of memory changes how the work is done. disk_cache: where encodings
    are kept for other sessions, for users who ask for it (it is patient data). Raises UserError for an engine that is
    not there.
    """
    return PlanePredictor(
        model.network,
        device,
        zoom or ZoomPolicy(),
        encode_planes=build_encode(
            model.network, device, engine, kept_conversions_folder() / model.identity, precision
        ),
        told=told,
        on_disk=None if disk_cache is None else ModelEncodings(disk_cache, model.identity),
    )


def open_in_steps(
    model: LoadedModel, source: str, device: torch.device, told: Callable[[str], None] = lambda _message: None
) -> Generator[Job | None, Any, PlanePredictor]:
    """As `open_predictor`, and ready to encode at once: steps for a `SteppedJob`, between which a window lives.

    source: what the model was loaded from. A network that must be converted first (also because what is kept cannot
    be read) is converted in a process of its own; where that fails, torch does the work, and it is told.
    """
    predictor = open_predictor(model, device, told=told)
    encoder = predictor.encode_planes
    yield
    if not isinstance(encoder, OpenVinoEncoder):
        encoder.prepare()
    elif not encoder.prepare_from_kept():
        went_well = yield ConversionJob(source)
        if not (went_well and encoder.prepare_from_kept()):
            told(NO_OPENVINO)
            return open_predictor(model, device, engine=EngineChoice.TORCH, told=told)
    yield
    encoder.prepare_ahead()
    return predictor
