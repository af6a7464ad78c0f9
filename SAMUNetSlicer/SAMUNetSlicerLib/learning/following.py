"""Learning to follow: chains of planes walked as in use, each plane's mask made from the answer before."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..networks.base import Embedding
from ..networks.sam_unet_tiny import SamUnetTiny
from .chain_bank import ChainBank, EncodedChain
from .losses import intersection_over_union
from .prompts import coarse, neighbouring_mask
from .training import Trainer

_SMALLEST = 10.0  # pixels of 128: smaller objects are not followed


@dataclass(frozen=True)
class Beginning:
    """How walks begin. exact: share that starts with the true mask; roughness: of the others' first masks, at most;
    skipping: share that leaves a plane out.
    """

    exact: float = 0.4
    roughness: float = 0.7
    skipping: float = 0.25


@dataclass(frozen=True, eq=False)
class Walk:
    """An object's way through a chain. planes: in the order of the walk; truths: (planes, 128, 128) float32.

    first: (128, 128) logits on the first plane.
    """

    chain: int
    planes: tuple[int, ...]
    truths: np.ndarray
    first: np.ndarray


def draw_walk(number: int, chain: EncodedChain, rng: np.random.Generator, beginning: Beginning) -> Walk | None:
    """One way or the other, from the first plane that shows the object to one plane beyond it; None without a step."""
    members = chain.objects[rng.integers(len(chain.objects))]
    order = list(range(len(chain.parts)))
    if rng.random() < beginning.skipping and len(order) > 2:
        del order[rng.integers(1, len(order) - 1)]
    if rng.random() < 0.5:
        order.reverse()
    truths = [coarse(np.isin(chain.parts[plane], members)) for plane in order]
    is_shown = [truth.sum() >= _SMALLEST for truth in truths]
    if True not in is_shown:
        return None
    start = is_shown.index(True)
    end = next((i for i in range(start, len(order)) if not truths[i].any()), len(order) - 1)
    if end == start:
        return None
    roughness = 0.0 if rng.random() < beginning.exact else rng.uniform(0, beginning.roughness)
    first = neighbouring_mask(np.kron(truths[start] > 0.5, np.ones((2, 2), bool)), rng, roughness)
    return Walk(number, tuple(order[start : end + 1]), np.stack(truths[start : end + 1]), first)


def measure_following(network: SamUnetTiny, bank: ChainBank) -> dict[str, float]:
    """Mean Dice over sources after 1, 2 and all steps of walks over a bank's chains, from true masks."""
    network.eval()
    device = next(network.parameters()).device
    sums: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(len(bank)):
        chain = bank[number]
        walk = draw_walk(0, chain, np.random.default_rng(number), Beginning(exact=1.0, skipping=0.0))
        if walk is None:
            continue
        mask = torch.from_numpy(walk.first)[None, None].to(device)
        for step in range(1, len(walk.planes)):
            here, there = (gathered([chain], [walk], at, device) for at in (step - 1, step))
            if (mask > 0).any():
                with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16):
                    mask = network.follow(here, there, mask).logits.float()
            overlap = float(intersection_over_union(mask, torch.from_numpy(walk.truths[step])[None, None].to(device)))
            sums[f"step {step}"][chain.source].append(2 * overlap / (1 + overlap))
    network.train()
    return {name: float(np.mean([np.mean(v) for v in sources.values()])) for name, sources in sums.items()}


class ChainExamples:
    """Chains of a bank, drawn by a generator of random numbers."""

    def __init__(self, bank: ChainBank) -> None:
        self._bank = bank

    def draw(self, count: int, rng: np.random.Generator) -> list[EncodedChain]:
        return [self._bank[int(i)] for i in rng.integers(len(self._bank), size=count)]

    def refresh(self) -> None:
        """Take in what has been added since."""
        self._bank.refresh()


class FollowerTrainer(Trainer):
    """As `Trainer`; an example is a chain, of which some objects are followed plane by plane.

    Each step of a walk is differentiated by itself, so that a follower learns to mend its own errors as they come.
    """

    def _learn(self, rng: np.random.Generator, rounds: int) -> tuple[float, list[float]]:
        settings = self.settings
        chains = self.examples.draw(settings.images, rng)
        walks = [draw_walk(i, c, rng, Beginning()) for i, c in enumerate(chains) for _ in range(settings.objects)]
        walks = [walk for walk in walks if walk is not None]
        count = sum(len(walk.planes) - 1 for walk in walks)
        masks = [torch.from_numpy(walk.first)[None] for walk in walks]
        total, dices = 0.0, []
        for step in range(1, max((len(walk.planes) for walk in walks), default=1)):
            going = [i for i, walk in enumerate(walks) if len(walk.planes) > step and (masks[i] > 0).any()]
            if not going:
                break
            here, there = (gathered(chains, [walks[i] for i in going], at, self.device) for at in (step - 1, step))
            truth = torch.from_numpy(np.stack([walks[i].truths[step] for i in going]))[:, None].to(self.device)
            with self._autocast():
                decoded = self.network.follow(here, there, torch.stack([masks[i] for i in going]).to(self.device))
            loss = self._loss(decoded, truth).sum() / count
            (loss / settings.accumulation).backward()
            total += float(loss.detach())
            logits = decoded.logits.detach().float()
            overlap = intersection_over_union(logits, truth)
            dices.append(float((2 * overlap / (1 + overlap)).mean()))
            for i, logit in zip(going, logits.cpu(), strict=True):
                masks[i] = logit
        return total, dices or [0.0]


def gathered(chains: list[EncodedChain], walks: list[Walk], step: int, device: torch.device) -> Embedding:
    """The features of each walk's plane at one step."""

    def of(name: str) -> Tensor:
        tensors = [chains[walk.chain].features[name][walk.planes[step]] for walk in walks]
        return torch.stack(tensors).to(device, memory_format=torch.channels_last)

    return Embedding({name: of(name) for name in chains[0].features})
