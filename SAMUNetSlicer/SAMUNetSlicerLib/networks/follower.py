"""Carrying a mask to the plane beside it: what looks like the object there, and where the mask's pixels have gone.

A box says too little about an object's next plane: a network that trusts boxes fills the one that it gets. Here the
network sees both planes and the mask on the first, as RGMP does with the frames of a film (Oh et al., "Fast video
object segmentation by reference-guided mask propagation", CVPR 2018), and two hints are computed for it:

- the mask moved by local matching: each pixel of the new plane takes the mask's values from the pixels near by that
  look most like it;
- likeness to what the mask holds and to what surrounds it.

Both planes' features are those that answer prompts, so following costs no further encoding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Decoded, Embedding
from .conv_blocks import UNet, pool, summarise_mask, weighted_mean
from .sam_parts import MLP

_MATCHED_WIDTH = 32
_REACH = 3  # pixels of the 64 px grid by which the mask may move: 12 of the input's
_RING = 7  # pixels of that grid: side of the neighbourhood that counts as surrounding the mask
_SHARPNESS = 12.0  # of matching, at first
_SURE = 4.0  # logit of a pixel whose matches all lie in the mask


class Follower(nn.Module):
    """widths: channels at 128, 64, 32 and 16 px; the first two are those of the planes' maps."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        fine, coarse = widths[:2]
        self.matched = nn.Conv2d(coarse, _MATCHED_WIDTH, 1)
        self.sharpness = nn.Parameter(torch.tensor(_SHARPNESS))
        self.at_128 = nn.Conv2d(3 * fine + 5, fine, 3, padding=1)
        self.at_64 = nn.Conv2d(3 * coarse + 5, coarse, 1)
        self.unet = UNet(widths)
        self.correction = nn.Conv2d(fine, 1, 1)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)
        self.quality = MLP(2 * fine + 4, 128, 1, 3)

    def forward(self, here: Embedding, there: Embedding, mask_logits: Tensor) -> Decoded:
        """B masks (B, 1, 128, 128) on the planes `here` as masks on the planes `there`, both given per mask.

        Logits (B, 1, 128, 128) and predicted IoU (B, 1).
        """
        mask = torch.sigmoid(mask_logits)
        small = pool(mask)
        fine_here, fine_there = here.features["map128"], there.features["map128"]
        coarse_here, coarse_there = here.features["map64"], there.features["map64"]
        before, now = (F.normalize(self.matched(x), dim=1) for x in (coarse_here, coarse_there))
        moved, best = self._moved(before, now, small)
        ring = F.max_pool2d(small, _RING, stride=1, padding=_RING // 2) - small
        alike = [_likeness(now, weighted_mean(before, weights)) for weights in (small, ring)]
        hints = torch.cat([small, moved, best, *alike], dim=1)
        finer = F.interpolate(hints[:, 1:], scale_factor=2, mode="bilinear", align_corners=False)
        x128 = self.at_128(torch.cat([fine_there, fine_here, fine_here * mask, mask, finer], dim=1))
        x64 = self.at_64(torch.cat([coarse_there, coarse_here, coarse_here * small, hints], dim=1))
        finest = self.unet([F.relu(x128), F.relu(x64), None, None])[0]
        guess = (2 * finer[:, :1] - 1) * _SURE
        logits = guess + self.correction(finest)
        return Decoded(logits, self._predict_quality(finest, logits, torch.sigmoid(guess)))

    def _moved(self, before: Tensor, now: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, 64, 64) each: the mask moved by matching, and how alike the best match is."""
        side = 2 * _REACH + 1
        height, width = mask.shape[-2:]
        padding = (_REACH,) * 4
        padded = F.pad(before, padding)
        shifts = [(dy, dx) for dy in range(side) for dx in range(side)]
        alike = torch.stack([(now * padded[..., y : y + height, x : x + width]).sum(dim=1) for y, x in shifts], dim=1)
        shares = torch.softmax(alike.float() * self.sharpness, dim=1)
        masks = F.unfold(F.pad(mask.float(), padding, mode="replicate"), side).unflatten(2, (height, width))
        return (shares * masks).sum(dim=1, keepdim=True), alike.amax(dim=1, keepdim=True).float()

    def _predict_quality(self, finest: Tensor, logits: Tensor, moved: Tensor) -> Tensor:
        """(B, 1): from the features in and around the mask, how sure it is, and how much of the moved mask it keeps."""
        parts = summarise_mask(finest, logits)
        inside, moved = torch.sigmoid(logits.detach().float()), moved.detach().float()
        kept = (inside * moved).sum(dim=(2, 3))
        shares = [kept / total.sum(dim=(2, 3)).clamp_min(1.0) for total in (inside, moved)]
        return torch.sigmoid(self.quality(torch.cat([*parts, *shares], dim=1)))


def _likeness(features: Tensor, sample: Tensor) -> Tensor:
    """(B, 1, h, w): cosine of unit features (B, C, h, w) with one vector (B, C) each."""
    return torch.einsum("bchw,bc->bhw", features, F.normalize(sample, dim=1).to(features.dtype))[:, None]
