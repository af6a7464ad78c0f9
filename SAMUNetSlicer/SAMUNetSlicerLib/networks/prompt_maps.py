"""Prompts drawn as pictures, so that convolutions see exactly where the user pointed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import NetworkPrompts

CHANNELS = 5  # box, positive points, negative points, earlier mask, whether there is an earlier mask
_POINT_SIGMA = 3.0  # input pixels


def draw(prompts: NetworkPrompts, map_size: int, input_size: int, device: torch.device) -> Tensor:
    """(B, 5, map_size, map_size) maps in [0, 1] of B prompts given in input pixels.

    Boxes are drawn with the exact share of each map pixel that they cover, points as Gaussians.
    """
    scale = map_size / input_size
    batch = len(prompts)
    maps = torch.zeros(batch, CHANNELS, map_size, map_size, device=device)
    edges = torch.arange(map_size, device=device, dtype=torch.float32)
    if prompts.boxes_xyxy is not None:
        x0, y0, x1, y1 = (prompts.boxes_xyxy.to(device).float() * scale).unbind(-1)
        maps[:, 0] = _cover(edges, y0, y1)[:, :, None] * _cover(edges, x0, x1)[:, None, :]
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
