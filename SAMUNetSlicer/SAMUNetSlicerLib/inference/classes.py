"""Networks that tell classes apart by themselves, without prompts (SAMed, MA-SAM)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..errors import ModelError
from ..networks.base import NetworkPrompts, NetworkSpec, PromptedNetwork
from .predictor import PlaneImage
from .preprocessing import prepare


def label_planes(network: PromptedNetwork, images: Sequence[PlaneImage], device: torch.device) -> list[np.ndarray]:
    """The class of every pixel, 0 for none, as (H, W) uint8, for planes that lie next to each other in a volume.

    images: as many as the network looks at together (`spec.stack`). Raises ModelError for a network of objects.
    """
    if not network.spec.classes:
        raise ModelError(f"The model {network.spec.family} segments what prompts say. Place a point or a box.")
    if len(images) != network.spec.stack:
        raise ValueError(f"{network.spec.family} looks at {network.spec.stack} planes together, got {len(images)}")
    prepared, frames = zip(*(prepare(image.rgb, network.spec.preprocessing) for image in images), strict=True)
    with torch.inference_mode():
        embedding = network.encode(torch.stack(prepared).to(device))
        decoded = network.decode(embedding, NetworkPrompts(plane_index=torch.arange(len(images))))
        scores = [f.logits_to_picture(decoded.logits[i : i + 1])[0] for i, f in enumerate(frames)]
    return [s.argmax(dim=0).to(torch.uint8).cpu().numpy() for s in scores]


def check_answers_prompts(spec: NetworkSpec) -> None:
    """Raise ModelError for a network that cannot answer prompts plane by plane."""
    if spec.classes:
        raise ModelError(f"The model {spec.family} finds its classes by itself. Leave points and boxes out.")
    if spec.stack > 1:
        raise ModelError(
            f"The model {spec.family} looks at {spec.stack} planes together, which is not offered for prompts. "
            "Use its plane-by-plane form (--family med_sa)."
        )
