"""Learning to walk: an object is followed over neighbouring planes as in use, each answer from the answer before.

The network meets its own errors, moved as a propagation moves them, and planes beyond the object's end. Box and mask
together, without points, come from nowhere else, so that it can learn how far to trust them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric

from ..networks.base import Embedding, PromptedNetwork
from ..networks.sam_unet_tiny import SamUnetTiny
from ..volumes.box_motion import Course, expect
from ..volumes.propagation import PropagationPolicy
from .bank import ChainBank, Entry
from .crops import SIZE, object_mask
from .development import fuse_tiny
from .examples import BankExamples
from .prompts import MASK_SIZE, Habits, Prompt, coarse, first_box, group, neighbouring_mask
from .settings import TrainingSettings
from .training import Trainer, pass_back

_SMALLEST = 10.0  # pixels of 128: smaller objects are not followed
_ROUGHNESS = 0.7  # of bent masks, at most


@dataclass(frozen=True)
class Beginning:
    """Shares of walks that begin with a bent mask instead of a box alone, and of those that leave a plane out."""

    bent: float = 0.35
    skipping: float = 0.25


@dataclass(eq=False)
class Walk:
    """An object's way over the looks of a chain.

    entries: the looks in the order of the walk. truths: (256, 256) bool, one for each; the last may be empty, the
    first is not. before, answer: what was found on the last planes, (256, 256) bool and float32.
    """

    entries: list[Entry]
    truths: list[np.ndarray]
    first: Prompt
    before: np.ndarray | None = None
    answer: np.ndarray | None = None

    def prompt(self, step: int) -> Prompt:
        """For the step-th plane."""
        if step == 0:
            return self.first
        here, there = (_picture(entry) for entry in self.entries[step - 1 : step + 1])
        expected = expect(here, there, self.answer, Course(self.before), PropagationPolicy.doubt)
        return Prompt(box=expected.box_xyxy, mask_logits=_resized(expected.logits, MASK_SIZE))

    def take(self, logits: np.ndarray) -> None:
        """The network's (128, 128) answer for the plane that was asked for."""
        self.before = None if self.answer is None else self.answer > 0
        self.answer = _resized(logits, SIZE)

    def goes_on(self, step: int) -> bool:
        """Whether there is a plane of that number in the walk, and an answer to go on from."""
        return step < len(self.entries) and np.count_nonzero(self.answer > 0) >= PropagationPolicy.smallest_area


def draw_walk(
    chain: list[Entry], habits: Habits, rng: np.random.Generator, beginning: Beginning = Beginning()
) -> Walk | None:
    """One way or the other, from the first plane that shows a random object to one plane beyond it.

    None where that is not a step.
    """
    members = chain[0].objects[rng.integers(len(chain[0].objects))]
    entries = list(chain)
    if rng.random() < beginning.skipping:
        del entries[rng.integers(1, len(entries) - 1)]
    if rng.random() < 0.5:
        entries.reverse()
    truths = [object_mask(entry.parts, members) for entry in entries]
    start = next((i for i, truth in enumerate(truths) if coarse(truth).sum() >= _SMALLEST), None)
    if start is None:
        return None
    end = next((i for i in range(start, len(truths)) if not truths[i].any()), len(truths) - 1)
    if end == start:
        return None
    first = Prompt(box=first_box(truths[start], habits, rng))
    if rng.random() < beginning.bent:
        bent = neighbouring_mask(truths[start], rng, rng.uniform(0, _ROUGHNESS))
        first = Prompt(box=first.box, mask_logits=bent)
    return Walk(entries[start : end + 1], truths[start : end + 1], first)


class WalkTrainer(Trainer):
    """As `Trainer`, but a share of the steps are walks over chains instead of prompts on single looks."""

    def __init__(
        self,
        network: PromptedNetwork,
        examples: BankExamples,
        chains: ChainBank,
        settings: TrainingSettings,
        fabric: Fabric,
    ) -> None:
        super().__init__(network, examples, settings, fabric)
        self._chains = chains

    def _learn(self, rng: np.random.Generator, rounds: int) -> tuple[float, list[float]]:
        # The same in every process: none waits long for the others.
        if np.random.default_rng([self.settings.seed, self.step, 1]).random() >= self.settings.walk_share:
            return super()._learn(rng, rounds)
        going = self._draw_walks(rng)
        looks = {id(entry): entry for walk in going for entry in walk.entries}
        places = {name: i for i, name in enumerate(looks)}
        fused, leaves = self._embed([*looks.values()])
        longest = max(len(walk.entries) for walk in going)
        total, dices, step = 0.0, [], 0
        while going:
            prompts = [walk.prompt(step) for walk in going]
            planes = [places[id(walk.entries[step])] for walk in going]
            truths = [walk.truths[step] for walk in going]
            logits, loss, dice = self._answer(Embedding(leaves), prompts, planes, truths, longest)
            total += loss
            dices.append(dice)
            for walk, answer in zip(going, logits, strict=True):
                walk.take(answer)
            step += 1
            going = [walk for walk in going if walk.goes_on(step)]
        pass_back(fused, leaves)
        return total, dices

    def _draw_walks(self, rng: np.random.Generator) -> list[Walk]:
        """Several over one chain, which share its encodings."""
        while True:
            chain = self._chains.chain(int(rng.integers(self._chains.count)))
            drawn = [draw_walk(chain, self.settings.habits, rng) for _ in range(self.settings.walks)]
            if any(drawn):
                return [walk for walk in drawn if walk is not None]


def measure_walks(network: SamUnetTiny, bank: ChainBank) -> dict[str, float]:
    """Mean Dice over sources after 1, 2, .. steps from an exact box, where the object is still there.

    Objects are drawn at random, the same each time; an answer that was lost counts as 0 from then on.
    """
    network.eval()
    fuse, habits = fuse_tiny(network), Habits(exact_boxes=1.0)
    sums: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(bank.count):
        walk = draw_walk(bank.chain(number), habits, np.random.default_rng(number), Beginning(bent=0.0, skipping=0.0))
        if walk is None:
            continue
        with torch.inference_mode(), torch.autocast(next(network.parameters()).device.type, dtype=torch.bfloat16):
            planes = fuse(walk.entries)
        for step, truth in enumerate(walk.truths):
            if step == 0 or walk.goes_on(step):
                ((_, batch),) = group([walk.prompt(step)], [step])
                with torch.inference_mode():
                    walk.take(network.decode(planes, batch).logits[0, 0].float().cpu().numpy())
                found = walk.answer > 0
            else:
                found = np.zeros_like(truth)
            if step > 0 and truth.any():
                dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
                sums[f"walk {step}"][walk.entries[0].source].append(float(dice))
    network.train()
    return {name: float(np.mean([np.mean(v) for v in sources.values()])) for name, sources in sums.items()}


def _picture(entry: Entry) -> np.ndarray:
    """(256, 256, 3) uint8."""
    return np.round(entry.image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def _resized(logits: np.ndarray, side: int) -> np.ndarray:
    """(h, h) to (side, side) float32."""
    tensor = torch.from_numpy(logits)[None, None]
    resized = F.interpolate(tensor, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return resized[0, 0].numpy()
