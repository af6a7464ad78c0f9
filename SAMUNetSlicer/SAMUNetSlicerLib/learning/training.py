"""The training loop.

One step: a few images, several objects on each, prompts simulated, answers corrected for some rounds. All of an image's
prompts share one pass of what is trained of its encoding; every round is differentiated by itself, so memory does not
grow with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from ..atomic_file import discard_left_overs, made_folder
from ..networks.base import Decoded, Embedding, PromptedNetwork
from .data.crops import object_mask
from .data.examples import Examples
from .half_precision import autocast
from .logs import DEVELOPMENT_LOG, LOG, append_line, forget_after
from .losses import PromptLoss, intersection_over_union
from .prompts import MASK_SIZE, Prompt, coarse, correct, first_prompt, group
from .settings import Draw, Optimizer, TrainingSettings, rate_factor
from .start import PRETRAINED
from .state import Average, Named, discard_temporaries, load_state, save_state

CHECKPOINT = "checkpoint.safetensors"  # in a training's folder
_PAUSE_SECONDS = 2.0
_REFRESH_EVERY = 10  # steps between looks for new shards of a growing bank


@dataclass(frozen=True)
class Report:
    """What one step was like. dice: mean of the first and of the last round's answers."""

    step: int
    loss: float
    first_dice: float
    last_dice: float
    rate: float
    seconds: float


def build_optimizer(network: PromptedNetwork, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam or AdamW; a gentler rate where LiteMedSAM's weights are the start; no decay of norms, biases and tokens."""
    tokens = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, torch.nn.Embedding)}
    groups: dict[tuple[float, float], list] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = settings.pretrained_rate if name.startswith(PRETRAINED) else settings.rate
        decay = 0.0 if parameter.ndim < 2 or name in tokens else settings.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    entries = [{"params": p, "lr": rate, "weight_decay": decay, "peak": rate} for (rate, decay), p in groups.items()]
    if settings.optimizer is Optimizer.ADAM:
        return torch.optim.Adam(entries)
    return torch.optim.AdamW(entries, betas=(0.9, 0.98))


class Trainer:
    """Trains a network step by step, alone or as one of several processes.

    Each process learns from examples of its own; gradients are averaged by hand once a step, since a step has several
    backward passes and not every prompt touches every parameter, which torch's DDP wrapper does not like.
    """

    def __init__(
        self, network: PromptedNetwork, examples: Examples, settings: TrainingSettings, fabric: Fabric
    ) -> None:
        if fabric.device.type == "cuda" and fabric.world_size > 1:
            network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network = network.to(fabric.device).train()
        self.network.to(memory_format=torch.channels_last)
        self.settings = settings
        self.device = fabric.device
        self.fabric = fabric
        self.named = Named.of(network)
        self.optimizer = build_optimizer(network, settings)
        self.average = Average(self.named, settings.decay)
        self.step = 0
        self.examples = examples
        self._loss = PromptLoss(settings.loss)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, exactly as if there had been no pause. Raises ModelError."""
        self.step = load_state(path, self.named, self.average, self.optimizer)

    def save(self, path: Path) -> None:
        save_state(path, self.named, self.average, self.optimizer, self.step, self.settings.family)

    def run(self) -> Iterator[Report]:
        """The steps that are left, one report after each."""
        while self.step < self.settings.steps:
            started = time.monotonic()
            # The generator depends on the step alone, so a resumed training sees what it would have seen.
            rng = np.random.default_rng([self.settings.seed, self.step, self.fabric.global_rank])
            factor = rate_factor(self.step, self.settings)
            for entry in self.optimizer.param_groups:
                entry["lr"] = entry["peak"] * factor
            loss, dices = self._accumulate(rng)
            self._share_gradients()
            if self.settings.clip:
                torch.nn.utils.clip_grad_norm_(self.named.parameters.values(), self.settings.clip)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.step += 1
            self.average.update(self.named, self.step)
            yield Report(self.step, loss, dices[0], dices[-1], factor, time.monotonic() - started)

    def _accumulate(self, rng: np.random.Generator) -> tuple[float, list[float]]:
        """Gradients of one step: the mean over its parts. Mean loss; mean Dice of the first and the last round."""
        # As many rounds in every process: none waits long for the others. The last number is no process's own; without
        # one numpy would take 0, the first's, and the rounds would follow from the looks drawn.
        shared = np.random.default_rng([self.settings.seed, self.step, self.fabric.world_size])
        counts = 1 + shared.choice(len(self.settings.rounds), size=self.settings.accumulation, p=self.settings.rounds)
        parts = [self._learn(rng, int(rounds)) for rounds in counts]
        loss = sum(loss for loss, _ in parts) / len(parts)
        return loss, [sum(dices[i] for _, dices in parts) / len(parts) for i in (0, -1)]

    def _learn(self, rng: np.random.Generator, rounds: int) -> tuple[float, list[float]]:
        """Add the gradients of one part of a step."""
        settings = self.settings
        examples = self.examples.draw(settings.images, rng)
        masks, planes = draw_objects(examples, settings.objects, settings.draw, rng)
        targets = np.stack([coarse(mask) for mask in masks])
        prompts = [first_prompt(mask, settings.habits, rng) for mask in masks]
        with autocast(self.device, self.settings.precision):
            fused = self.examples.embed(self.network, examples, self.device)
        leaves = {name: t.detach().requires_grad_() for name, t in fused.features.items()}
        total, dices = 0.0, []
        for number in range(rounds):
            logits, loss, dice = self._answer(Embedding(leaves), prompts, planes, masks, rounds)
            total += loss
            dices.append(dice)
            if number + 1 < rounds:
                prompts = [correct(p, logit, t) for p, logit, t in zip(prompts, logits, targets, strict=True)]
        names = [name for name, leaf in leaves.items() if leaf.grad is not None]
        torch.autograd.backward([fused.features[n] for n in names], [leaves[n].grad for n in names])
        return total, dices

    def _share_gradients(self) -> None:
        """Average over the processes, all parameters in one message.

        One that no process has touched keeps no gradient, as in a single process: with zeros it would decay.
        """
        if self.fabric.world_size == 1:
            return
        parameters = list(self.named.parameters.values())
        touched = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        own = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters]
        flat = self.fabric.all_reduce(torch.cat([*own, touched]), reduce_op="mean")
        *gradients, touched = flat.split([*(p.numel() for p in parameters), len(parameters)])
        for parameter, gradient, share in zip(parameters, gradients, touched.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter).contiguous() if share else None

    def _answer(
        self, embedding: Embedding, prompts: list[Prompt], planes: list[int], masks: list[np.ndarray], rounds: int
    ) -> tuple[np.ndarray, float, float]:
        """Decode, differentiate; logits (B, 128, 128), the round's share of the loss, mean Dice."""
        answers = np.zeros((len(prompts), MASK_SIZE, MASK_SIZE), np.float32)
        total, ious = 0.0, []
        side = self.settings.loss_side
        for indices, batch in group(prompts, planes, self.network.spec.mask_prompt_size):
            truth = np.stack([coarse(masks[i], side) for i in indices])
            truth = torch.from_numpy(truth)[:, None].to(self.device)
            with autocast(self.device, self.settings.precision):
                decoded = self.network.decode(embedding, batch)
            logits = _resized(decoded.logits[:, :1].float(), side)
            loss = self._loss(Decoded(logits, decoded.quality), truth).sum() / (len(prompts) * rounds)
            (loss / self.settings.accumulation).backward()
            total += float(loss.detach())
            ious.append(intersection_over_union(logits, truth))
            answers[indices] = _resized(logits.detach(), MASK_SIZE)[:, 0].cpu().numpy()
        overlap = torch.cat(ious)
        return answers, total, float((2 * overlap / (1 + overlap)).mean())


def _resized(logits: Tensor, side: int) -> Tensor:
    if logits.shape[-1] == side:
        return logits
    return F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)


def draw_objects(
    examples: list, count: int, draw: Draw, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[int]]:
    """Masks (256, 256) bool of `count` random objects of each example, and the number of its example for each."""
    masks, planes = [], []
    for plane, entry in enumerate(examples):
        objects = len(entry.objects)
        replaced = draw is Draw.REPLACED
        choices = rng.integers(objects, size=count) if replaced else np.resize(rng.permutation(objects), count)
        for index in choices:
            masks.append(object_mask(entry.parts, entry.objects[index]))
            planes.append(plane)
    return masks, planes


def train(trainer: Trainer, folder: Path, pause_file: Path | None, after_step: Callable[[Trainer], None]) -> None:
    """Run to the end with a CSV log and a checkpoint in `folder`; resumes from the checkpoint that is there.

    While `pause_file` exists, training waits (a checkpoint is written first).
    """
    made_folder(folder)
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        trainer.resume(checkpoint)
    if trainer.fabric.is_global_zero:
        _clear_leftovers(folder)
        for name in (LOG, DEVELOPMENT_LOG):
            forget_after(folder / name, trainer.step)
    for report in trainer.run():
        is_pausing = _is_pausing(pause_file, trainer.fabric)
        if trainer.fabric.is_global_zero:
            append_line(folder / LOG, asdict(report))
        after_step(trainer)  # before the checkpoint: a resumed training would not come back to a step that is behind it
        if trainer.fabric.is_global_zero:
            is_due = report.step % trainer.settings.checkpoint_every == 0 or report.step == trainer.settings.steps
            if is_due or is_pausing:
                trainer.save(checkpoint)
        if report.step % _REFRESH_EVERY == 0:
            trainer.examples.refresh()
        while is_pausing and pause_file.exists():
            time.sleep(_PAUSE_SECONDS)


def _is_pausing(pause_file: Path | None, fabric: Fabric) -> bool:
    """Decided by one process for all: one that paused alone would keep the others waiting until they give up."""
    return pause_file is not None and fabric.broadcast(pause_file.exists())


def _clear_leftovers(folder: Path) -> None:
    """Delete what a training that was killed while it wrote left behind, as large as a checkpoint each time."""
    discard_left_overs(folder / CHECKPOINT)
    discard_temporaries(folder, older_than_s=0)
