"""Training as one call: a configuration, a bank, a folder for the results."""

from __future__ import annotations

import argparse
import csv
import time
import tomllib
from pathlib import Path

import torch
from lightning_fabric import Fabric

from ..checkpoints.tensors import read_tensors
from ..errors import InputError
from ..networks.sam_unet_tiny import SamUnetTiny
from .bank import Bank
from .curve import draw_curve
from .development import fuse_tiny, measure
from .losses import LossWeights
from .prompts import Habits
from .start import start_from_lite_medsam
from .state import averaged
from .training import Trainer, TrainingSettings, train


def read_settings(config: Path) -> TrainingSettings:
    """The [training] table of a TOML configuration. Raises InputError."""
    try:
        table = tomllib.loads(config.read_text())["training"]
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        habits = {k: tuple(v) if isinstance(v, list) else v for k, v in values.pop("habits", {}).items()}
        return TrainingSettings(loss=LossWeights(**values.pop("loss", {})), habits=Habits(**habits), **values)
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{config} is not a training configuration: {error}.") from error


def run_training(
    config: Path,
    bank: Path,
    start: Path,
    folder: Path,
    development_bank: Path | None = None,
    measure_every: int = 250,
    pause_file: Path | None = None,
    threads: int = 1,
    processes: int = 1,
) -> None:
    """Train sam_unet_tiny on a bank; resumes if `folder` holds a checkpoint.

    start: LiteMedSAM's checkpoint (frozen encoder, prompt encoder, decoder transformer). Every `measure_every` steps
    the averaged weights are measured on the development bank, into `folder`/development.csv. While `pause_file`
    exists, training waits. processes: as many train together, when this is started by `torchrun`. Raises InputError
    and ModelError.
    """
    torch.set_num_threads(threads)
    fabric = Fabric(accelerator="auto", devices=processes, strategy="ddp" if processes > 1 else "auto")
    fabric.launch()
    settings = read_settings(config)
    torch.manual_seed(settings.seed)
    network = SamUnetTiny()
    start_from_lite_medsam(network, read_tensors(start))
    looks = Bank(bank)
    if len(looks) == 0:
        raise InputError(f"The bank {bank} is empty. Fill it first.")
    trainer = Trainer(network, looks, settings, fabric)
    held = None if development_bank is None else Bank(development_bank)

    def after_step(now: Trainer) -> None:
        if held is not None and fabric.is_global_zero and (now.step % measure_every == 0 or now.step == settings.steps):
            with averaged(now.named, now.average):
                figures = measure(now.network, fuse_tiny(now.network), held)
            _log_figures(folder / "development.csv", now.step, figures)

    train(trainer, folder, pause_file, after_step)
    if fabric.is_global_zero and (folder / "log.csv").exists():
        draw_curve(folder)


def _log_figures(path: Path, step: int, figures: dict[str, float]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(["time", "step", *figures])
        writer.writerow([time.strftime("%H:%M:%S"), step, *(round(v, 4) for v in figures.values())])


def main(arguments: list[str] | None = None) -> None:
    """Command: train on a bank."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--lite-medsam", dest="start", type=Path, required=True, help="LiteMedSAM's checkpoint")
    parser.add_argument("--folder", type=Path, required=True, help="for checkpoints and logs")
    parser.add_argument("--development-bank", type=Path)
    parser.add_argument("--measure-every", type=int, default=250, help="steps")
    parser.add_argument("--pause-file", type=Path, help="training waits while this file exists")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--processes", type=int, default=1, help="under torchrun: its --nproc-per-node")
    run_training(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
