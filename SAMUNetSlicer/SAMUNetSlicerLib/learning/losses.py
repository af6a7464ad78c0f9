"""What an answer costs: per-mask Dice and cross entropy (or focal loss) on the logits, and the quality's error."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss, FocalLoss
from torch import Tensor

from ..networks.base import Decoded


@dataclass(frozen=True)
class LossWeights:
    dice: float = 1.0
    cross_entropy: float = 1.0
    focal: float = 0.0
    quality: float = 1.0
    focal_gamma: float = 2.0
    pooled: bool = False  # Dice over all answers of a batch together, as published for SAM-UNet


class PromptLoss:
    """Loss of B answers, each weighed alike whatever its object's size."""

    def __init__(self, weights: LossWeights) -> None:
        self._weights = weights
        self._dice = DiceLoss(sigmoid=True, reduction="none", smooth_nr=1.0, smooth_dr=1.0, batch=weights.pooled)
        self._focal = FocalLoss(gamma=weights.focal_gamma, alpha=0.25, reduction="none")

    def __call__(self, decoded: Decoded, targets: Tensor) -> Tensor:
        """(B,) losses. targets: (B, 1, h, w) of the logits' size, the share of each pixel that the object covers."""
        logits = decoded.logits.float()
        loss = self._weights.dice * self._dice(logits, targets).reshape(-1).expand(len(logits))
        if self._weights.cross_entropy:
            entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
            loss = loss + self._weights.cross_entropy * entropy.flatten(1).mean(dim=1)
        if self._weights.focal:
            loss = loss + self._weights.focal * self._focal(logits, targets).flatten(1).mean(dim=1)
        if decoded.quality is not None:
            error = decoded.quality.float()[:, 0] - intersection_over_union(logits, targets)
            loss = loss + self._weights.quality * error.square()
        return loss


def intersection_over_union(logits: Tensor, targets: Tensor) -> Tensor:
    """(B,) of the masks logits > 0 and targets > .5; 1 where both are empty."""
    with torch.no_grad():
        answer, truth = (logits > 0).flatten(1), (targets > 0.5).flatten(1)
        union = (answer | truth).sum(dim=1)
        return torch.where(union > 0, (answer & truth).sum(dim=1) / union.clamp_min(1), torch.ones_like(union))
