"""How good a network is on held-back cases: the figures by which choices are made."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F

from ..inference.mask_geometry import dice
from ..inference.prompts import bounding_box_xyxy
from ..networks.base import Embedding, PromptedNetwork
from ..networks.sam_unet_tiny import SamUnetTiny
from .data.bank import Bank
from .data.crops import SIZE, object_mask
from .data.examples import BankExamples
from .half_precision import autocast
from .prompts import Prompt, coarse, coarse_mask, correct, deepest_point, group, jittered

_BATCH = 8
_JITTER = 0.1
_CORRECTIONS = 2


def measure(network: SamUnetTiny, bank: Bank) -> dict[str, float]:
    """Mean Dice over sources: {"box", "jittered", "point", and each followed by "+1", "+2" corrections}.

    The target is the first object of each look; Dice is taken on its visible part at 256 px.
    """
    network.eval()
    sums: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for start in range(0, len(bank), _BATCH):
        entries = [bank[i] for i in range(start, min(start + _BATCH, len(bank)))]
        masks = [object_mask(e.parts, e.objects[0]) for e in entries]
        targets = [coarse(mask) for mask in masks]
        with torch.inference_mode(), autocast(_device(network)):
            embedding = BankExamples(bank).embed(network, entries, _device(network))
        for mode, prompts in _first_prompts(masks, start).items():
            for number in range(_CORRECTIONS + 1 if mode != "jittered" else 1):
                logits = _decode(network, embedding, prompts)
                for entry, mask, answer in zip(entries, masks, logits, strict=True):
                    name = mode if number == 0 else f"{mode}+{number}"
                    sums[name][entry.source].append(_dice(answer, mask, entry.visible))
                small = F.interpolate(logits[:, None], (128, 128), mode="area")[:, 0].numpy()
                prompts = [correct(p, s, t) for p, s, t in zip(prompts, small, targets, strict=True)]
    network.train()
    return {name: float(np.mean([np.mean(v) for v in sources.values()])) for name, sources in sums.items()}


def _device(network: PromptedNetwork) -> torch.device:
    return next(network.parameters()).device


def _first_prompts(masks: list[np.ndarray], start: int) -> dict[str, list[Prompt]]:
    rng = np.random.default_rng(start)
    boxes = [bounding_box_xyxy(mask) for mask in masks]
    points = [deepest_point(coarse_mask(mask)) for mask in masks]
    return {
        "box": [Prompt(box=box) for box in boxes],
        "jittered": [Prompt(box=jittered(box, _JITTER, rng)) for box in boxes],
        "point": [Prompt(points=((x, y, 1),)) for x, y in points],
    }


def _decode(network: PromptedNetwork, embedding: Embedding, prompts: list[Prompt]) -> torch.Tensor:
    """(B, 256, 256) float32 logits."""
    logits = torch.zeros(len(prompts), SIZE, SIZE)
    with torch.inference_mode(), autocast(_device(network)):
        for indices, batch in group(prompts, list(range(len(prompts)))):
            answer = network.decode(embedding, batch).logits[:, :1].float().cpu()
            logits[indices] = F.interpolate(answer, (SIZE, SIZE), mode="bilinear", align_corners=False)[:, 0]
    return logits


def _dice(logits: torch.Tensor, mask: np.ndarray, visible: tuple[int, int]) -> float:
    answer = logits.numpy() > 0
    answer[visible[0] :] = False
    answer[:, visible[1] :] = False
    return dice(answer, mask)
