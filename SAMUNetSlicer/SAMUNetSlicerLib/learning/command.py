"""Training as one call: a configuration, a bank, a folder for the results."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from ..errors import InputError
from ..inference.devices import choose_device
from ..networks.base import PromptedNetwork
from ..networks.sam_unet_tiny import SamUnetTiny
from .curve import draw_curve
from .data.bank import Bank
from .data.examples import BankExamples, Examples, PictureExamples, StreamExamples
from .data.production import nothing_to_train_on, read_sources
from .data.shards import ShardStream
from .data.sources import Split, find_pairs, split_pairs
from .development import measure
from .logs import DEVELOPMENT_LOG, LOG, append_line
from .settings import TrainingSettings, read_settings
from .start import start_network
from .state import averaged, read_step
from .training import CHECKPOINT, Trainer, train


@dataclass(frozen=True)
class Files:
    """start: the checkpoint to start from. folder: for checkpoints and logs.

    bank: for sam_unet_tiny. For SAM-UNet instead: shards, or data and sources (a configuration with [[sources]]).
    development_bank: held-back looks. While pause_file exists, training waits.
    """

    start: Path
    folder: Path
    bank: Path | None = None
    development_bank: Path | None = None
    data: Path | None = None
    sources: str | Path | None = None
    shards: Path | None = None
    pause_file: Path | None = None


def run_training(
    config: str | Path,
    files: Files,
    measure_every: int = 250,
    threads: int = 1,
    processes: int = 1,
    device: str = "auto",
) -> None:
    """Train a network as the configuration says; resumes if the folder holds a checkpoint.

    Every `measure_every` steps the averaged weights are measured on the development bank, into development.csv.
    processes: as many train together, when this is started by `torchrun`. device: as `devices.choose_device` takes it.
    Raises UserError, among them InputError and ModelError.
    """
    settings = read_settings(config)
    started = int(os.environ.get("WORLD_SIZE", 1)) if dist.is_torchelastic_launched() else processes
    if started != processes:  # each would train by itself, in the same folder
        raise InputError(f"torchrun started {started} processes. Add --processes {started}.")
    torch.set_num_threads(threads)
    fabric = _fabric(choose_device(device), processes)
    fabric.launch()
    torch.manual_seed(settings.seed)
    network = start_network(settings.family, files.start)
    trainer = Trainer(network, _examples(network, files, settings, fabric), settings, fabric)
    held = None if files.development_bank is None else _filled(files.development_bank)

    def after_step(now: Trainer) -> None:
        if held is not None and fabric.is_global_zero and (now.step % measure_every == 0 or now.step == settings.steps):
            with averaged(now.named, now.average):
                figures = measure(now.network, held)
            line = {"time": time.strftime("%H:%M:%S"), "step": now.step, **figures}
            append_line(files.folder / DEVELOPMENT_LOG, line)

    train(trainer, files.folder, files.pause_file, after_step)
    if fabric.is_global_zero and (files.folder / LOG).exists():
        draw_curve(files.folder)


def _fabric(device: torch.device, processes: int) -> Fabric:
    if device.index is not None and processes > 1:
        raise InputError(f"{processes} processes cannot share one graphics card ({device}). Leave its number out.")
    devices = processes if device.index is None else [device.index]
    try:
        return Fabric(accelerator=device.type, devices=devices, strategy="ddp" if processes > 1 else "auto")
    except MisconfigurationException as error:
        raise InputError(
            f"There are fewer graphics cards than processes ({processes}). Start one process a card, or train on the "
            "processor (--device cpu)."
        ) from error


def _filled(folder: Path) -> Bank:
    bank = Bank(folder)
    if len(bank) == 0:
        raise InputError(f"The bank {folder} is empty. Fill it first.")
    return bank


def _examples(network: PromptedNetwork, files: Files, settings: TrainingSettings, fabric: Fabric) -> Examples:
    if isinstance(network, SamUnetTiny):
        if files.bank is None:
            raise InputError("sam_unet_tiny is trained on a bank: fill one and name it.")
        return BankExamples(_filled(files.bank))
    if files.development_bank is not None:
        raise InputError("The development bank is for sam_unet_tiny. Leave it out.")
    if files.shards is not None:
        checkpoint = files.folder / CHECKPOINT
        drawn = settings.images * settings.accumulation  # in each step
        already = read_step(checkpoint) * drawn if checkpoint.exists() else 0
        stream = ShardStream(files.shards, settings.seed, fabric.global_rank, fabric.world_size)
        return StreamExamples(stream, network, already)
    if files.data is None or files.sources is None:
        raise InputError("SAM-UNet is trained on pictures: name the shards, or the data and the sources.")
    specs = read_sources(files.sources)
    pairs = [p for spec in specs for p in split_pairs(spec, find_pairs(spec, files.data), Split.TRAIN)]
    if not pairs:
        raise nothing_to_train_on()
    return PictureExamples(pairs, network)
