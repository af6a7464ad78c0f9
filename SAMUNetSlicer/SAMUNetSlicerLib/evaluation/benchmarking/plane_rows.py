"""One plane: encode, decode, prompt to mask."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import torch

from ...inference.predictor import PlaneImage, PlanePredictor
from ...inference.preprocessing import prepare
from ...inference.zoom import Crop
from ...networks.base import NetworkPrompts
from ...networks.parts.published_forms import as_published
from .machine import MatrixRates, count_encode_flops
from .phantom import SIDE, PhantomPlanes
from .table import Row, ratio_row
from .timing import interleaved_medians

WHOLE = Crop(0, 0, SIDE, SIDE)


@dataclass(frozen=True)
class PlaneTimes:
    """Median seconds. forward: (a)'s encode and decode of one prepared plane."""

    fp32_encode: float
    fp32_decode: float
    forward: float
    encode: float
    prompt: float
    new_plane: float


def measure_plane(predictor: PlanePredictor, repetitions: int) -> PlaneTimes:
    """Ours begin with an 8-bit picture and end with a mask of its size; (a) begins and ends with prepared tensors."""
    network, device = predictor.network, predictor.device
    planes = PhantomPlanes(1)
    image, prompts = planes.image(0), planes.box(0)
    fresh_key = count()
    spec = network.spec.preprocessing
    prepared = prepare(image.rgb, spec)[0][None].to(device)
    # Not in numpy's double precision, which Apple's graphics do not know.
    boxes = torch.tensor([prompts.box_xyxy], dtype=torch.float32, device=device) * (spec.input_size / SIDE)
    plain = as_published(network)

    @torch.inference_mode()
    def fp32_encode():
        return _finished(plain.encode(prepared), device)

    @torch.inference_mode()
    def fp32_decode(embedding):
        return _finished(plain.decode(embedding, NetworkPrompts(boxes_xyxy=boxes)), device)

    def new_image() -> PlaneImage:
        return PlaneImage(image.rgb, next(fresh_key))

    embedding = fp32_encode()
    works = {
        "fp32_encode": fp32_encode,
        "encode": lambda: _finished(predictor.encode(new_image(), [WHOLE]), device),
        "fp32_decode": lambda: fp32_decode(embedding),
        "prompt": lambda: predictor.predict(image, prompts, WHOLE),
        "forward": lambda: fp32_decode(fp32_encode()),
        "new_plane": lambda: predictor.predict(new_image(), prompts, WHOLE),
    }
    return PlaneTimes(**interleaved_medians(works, repetitions))


def plane_rows(times: PlaneTimes, rates: MatrixRates, predictor: PlanePredictor, encode_target: float) -> list[Row]:
    """What `measure_plane` found, and the share of the machine's limit (b) that encoding reaches."""
    flops = count_encode_flops(predictor.network, predictor.device)
    rate = flops / times.encode
    of_limit = {name: limit for name, limit in (("bf16", rates.bf16), ("fp32", rates.fp32)) if limit is not None}
    shares = ", ".join(f"{rate / limit:.0%} of (b) {name}" for name, limit in of_limit.items())
    share = f"{rate / 1e9:.0f} GFLOP/s = {shares}"
    return [
        ratio_row("encode one plane", times.fp32_encode, times.encode, encode_target),
        Row(f"- its arithmetic: {flops / 1e9:.1f} GFLOP", value=share),
        ratio_row("decode: prompt to mask on an encoded crop, against (a)'s decode", times.fp32_decode, times.prompt),
        ratio_row("prompt to mask on an encoded crop, against (a)'s encode + decode", times.forward, times.prompt, 15),
        ratio_row("prompt to mask on a new plane", times.forward, times.new_plane),
    ]


def _finished(result, device: torch.device):
    """A graphics card answers before it has computed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return result
