"""Prompts drawn as pictures, so that convolutions see exactly where the user pointed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base import NetworkPrompts

# box, positive points, negative points, earlier mask, whether there is an earlier mask, ellipse in the box
CHANNELS = 6
_POINT_SIGMA = 3.0  # input pixels


def draw(prompts: NetworkPrompts, map_size: int, input_size: int, device: torch.device) -> Tensor:
    """(B, 6, map_size, map_size) maps of B prompts given in input pixels, in [0, 1] but for the ellipses.

    Boxes are drawn with the exact share of each map pixel that they cover, points as Gaussians. The last map tells
    where in its box a pixel lies: 1 in the middle, 0 on the inscribed ellipse, -1 far outside. Many organs nearly
    fill that ellipse, and small convolutions cannot see all four edges of a large box at once.
    """
    scale = map_size / input_size
    batch = len(prompts)
    maps = torch.zeros(batch, CHANNELS, map_size, map_size, device=device)
    edges = torch.arange(map_size, device=device, dtype=torch.float32)
    if prompts.boxes_xyxy is not None:
        x0, y0, x1, y1 = (prompts.boxes_xyxy.to(device).float() * scale).unbind(-1)
        maps[:, 0] = _cover(edges, y0, y1)[:, :, None] * _cover(edges, x0, x1)[:, None, :]
        radius = torch.hypot(_from_middle(edges, y0, y1)[:, :, None], _from_middle(edges, x0, x1)[:, None, :])
        maps[:, 5] = (1 - radius).clamp_min(-1)
    if prompts.points_xy is not None:
        labels = prompts.point_labels.to(device)
        # A pixel centre c of the input lies at (c + .5) * scale - .5 of the map.
        points = (prompts.points_xy.to(device).float() + 0.5) * scale - 0.5
        squared = ((edges - points[..., :1]) ** 2)[:, :, None, :] + ((edges - points[..., 1:]) ** 2)[:, :, :, None]
        blobs = torch.exp(-squared / (2 * (_POINT_SIGMA * scale) ** 2))
        for channel, label in ((1, 1), (2, 0)):
            maps[:, channel] = (blobs * (labels == label)[:, :, None, None]).amax(dim=1)
    if prompts.mask_logits is not None:
        mask = torch.sigmoid(prompts.mask_logits.to(device).float())
        maps[:, 3:4] = F.interpolate(mask, size=(map_size, map_size), mode="bilinear", align_corners=False)
        maps[:, 4] = 1.0
    return maps


def _cover(edges: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """(B, n) share of each unit pixel [e, e + 1) inside [low, high)."""
    start = torch.maximum(edges, low[:, None])
    end = torch.minimum(edges + 1, high[:, None])
    return (end - start).clamp_min(0)


def _from_middle(edges: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """(B, n) distance of each unit pixel's centre from the middle of [low, high), 1 at its ends."""
    middle, half = (low + high)[:, None] / 2, (high - low)[:, None] / 2
    return (edges + 0.5 - middle) / half.clamp_min(0.5)
