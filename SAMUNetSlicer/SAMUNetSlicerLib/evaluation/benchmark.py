"""How long a plane takes: ours against the straightforward forward of the same network, in one run.

Both sides use the same threads and are warmed; their repetitions alternate and medians are compared, so that a
machine whose speed drifts still gives a fair ratio.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from statistics import median

import numpy as np
import torch

from ..inference.engines import EngineChoice, build_encode
from ..inference.predictor import PlaneImage, PlanePredictor
from ..inference.preprocessing import prepare
from ..inference.prompts import PlanePrompts
from ..inference.zoom import ZoomMode, ZoomPolicy
from ..networks.base import NetworkPrompts, PromptedNetwork
from ..networks.vit import with_plain_attention

_BOX = (60.0, 70.0, 200.0, 190.0)
_PLANE_SIDE = 256


@dataclass(frozen=True)
class Comparison:
    """Median seconds of one piece of work.

    straightforward: PyTorch fp32 in inference mode, one plane at a time, with SAM's own attention.
    """

    work: str
    straightforward: float
    ours: float

    @property
    def times_faster(self) -> float:
        return self.straightforward / self.ours


def interleaved_medians(works: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of each work, run in turn `repetitions` times after one warming round."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for round_number in range(repetitions + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if round_number > 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def compare(
    network: PromptedNetwork, device: torch.device, engine: EngineChoice = EngineChoice.AUTO, repetitions: int = 7
) -> list[Comparison]:
    """Encode, decode, both, and a corrective prompt on an encoded plane, for one network on one device."""
    encode = build_encode(network, device, engine)
    predictor = PlanePredictor(network, device, ZoomPolicy(ZoomMode.WHOLE_PLANE), encode_planes=encode)
    size = network.spec.preprocessing.input_size
    picture = np.random.default_rng(0).integers(0, 256, (_PLANE_SIDE, _PLANE_SIDE, 3), dtype=np.uint8)
    fixed = PlaneImage(picture, "fixed")
    fresh_key = count()  # a plane under a new key is not found in the cache
    prepared = prepare(fixed.rgb, network.spec.preprocessing)[0][None].to(device)
    box = torch.tensor([_BOX], device=device) * (size / _PLANE_SIDE)

    def fp32_encode():
        with torch.inference_mode():
            return _finish(straightforward.encode(prepared), device)

    straightforward = with_plain_attention(network)
    embedding = fp32_encode()

    def fp32_decode():
        with torch.inference_mode():
            return _finish(straightforward.decode(embedding, NetworkPrompts(boxes_xyxy=box)), device)

    def fp32_both():
        with torch.inference_mode():
            answer = straightforward.decode(straightforward.encode(prepared), NetworkPrompts(boxes_xyxy=box))
            return _finish(answer, device)

    def our_encode():
        predictor.encode(PlaneImage(fixed.rgb, next(fresh_key)), [whole])

    def our_prompt():
        predictor.predict(fixed, PlanePrompts(box_xyxy=_BOX))

    def our_both():
        predictor.predict(PlaneImage(fixed.rgb, next(fresh_key)), PlanePrompts(box_xyxy=_BOX))

    whole = predictor.zoom.choose(fixed.size_hw, _BOX)
    works = {
        "fp32 encode": fp32_encode,
        "our encode": our_encode,
        "fp32 decode": fp32_decode,
        "our prompt": our_prompt,
        "fp32 both": fp32_both,
        "our both": our_both,
    }
    seconds = interleaved_medians(works, repetitions)
    return [
        Comparison("encode one plane (ours: with resizing)", seconds["fp32 encode"], seconds["our encode"]),
        Comparison("decode one prompt (ours: to a full-size mask)", seconds["fp32 decode"], seconds["our prompt"]),
        Comparison("new plane to mask", seconds["fp32 both"], seconds["our both"]),
        Comparison("new prompt on an encoded plane to mask", seconds["fp32 both"], seconds["our prompt"]),
    ]


def _finish(result, device: torch.device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result
