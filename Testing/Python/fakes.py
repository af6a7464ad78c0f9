"""A network that needs no weights: it finds bright regions. For tests of everything that stands around a network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy import ndimage

from SAMUNetSlicerLib.inference.jobs import Job
from SAMUNetSlicerLib.networks.base import (
    Decoded,
    Embedding,
    NetworkPrompts,
    NetworkSpec,
    Normalisation,
    Preprocessing,
    PromptedNetwork,
    PromptKind,
    Resize,
)

ALL_PROMPTS = PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK
INPUT_SIZE = 64
QUALITY = 0.9


class BrightRegionNetwork(PromptedNetwork):
    """Bright pixels inside the box; without a box, the bright regions that hold a positive and no negative point.

    `encoded` counts the planes that were encoded.
    """

    def __init__(self, trained_prompts: PromptKind = ALL_PROMPTS, input_size: int = INPUT_SIZE) -> None:
        super().__init__()
        self.spec = NetworkSpec(
            family="bright_region",
            preprocessing=Preprocessing(input_size, Resize.BILINEAR_LONGEST, Normalisation.UNIT),
            mask_prompt_size=input_size,
            trained_prompts=trained_prompts,
            description="finds bright regions",
        )
        self.encoded = 0

    def encode(self, images: torch.Tensor) -> Embedding:
        self.encoded += len(images)
        return Embedding({"grey": images.mean(dim=1, keepdim=True)})

    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        grey = embedding.features["grey"]
        rows = [self._answer(grey[plane, 0], prompts, i) for i, plane in enumerate(prompts.planes(grey.device))]
        return Decoded(torch.stack(rows)[:, None], torch.full((len(rows), 1), QUALITY))

    def _answer(self, grey: torch.Tensor, prompts: NetworkPrompts, i: int) -> torch.Tensor:
        score = (grey - 0.5) * 20
        keep = torch.ones_like(grey, dtype=torch.bool)
        if prompts.boxes_xyxy is not None:
            x0, y0, x1, y1 = prompts.boxes_xyxy[i].round().int().tolist()
            keep[:] = False
            keep[max(y0, 0) : y1, max(x0, 0) : x1] = True
        elif prompts.points_xy is not None:
            keep = self._regions_of_points((score > 0).numpy(), prompts, i)
        elif prompts.mask_logits is not None:
            near = F.max_pool2d(prompts.mask_logits[i : i + 1], 5, stride=1, padding=2)
            keep = near[0, 0] > 0
        return torch.where(keep, score, torch.full_like(score, -10.0))

    @staticmethod
    def _regions_of_points(bright, prompts: NetworkPrompts, i: int) -> torch.Tensor:
        regions, _ = ndimage.label(bright)
        wanted: set[int] = set()
        unwanted: set[int] = set()
        for (x, y), label in zip(prompts.points_xy[i].tolist(), prompts.point_labels[i].tolist(), strict=True):
            row, column = (min(max(round(v), 0), n - 1) for v, n in zip((y, x), bright.shape, strict=True))
            (wanted if label == 1 else unwanted).add(int(regions[row, column]))
        keep = torch.zeros(bright.shape, dtype=torch.bool)
        for region in wanted - unwanted - {0}:
            keep |= torch.from_numpy(regions == region)
        return keep


class Done(Job):
    """What was known at once, as a job."""

    def __init__(self, result):
        self._result = result

    def poll(self):
        return True

    def result(self):
        return self._result

    def cancel(self):
        pass
