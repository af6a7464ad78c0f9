"""`samunet train`: train a network, alone or (under torchrun) as one of several processes."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from ..errors import ExitCode
from ..extras import needing
from ..option_types import count

HELP = "Train sam_unet_tiny on a bank of encoded looks, or SAM-UNet on pictures (docs/training.md)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", help="sam_unet_tiny, sam_unet_published, or a TOML or JSON file with a table `training`"
    )
    parser.add_argument(
        "--from", dest="start", type=Path, required=True, metavar="FILE",
        help="LiteMedSAM's or SAM's checkpoint, or weights of the network itself, to train them further",
    )  # fmt: skip
    parser.add_argument(
        "--folder", type=Path, required=True, help="for checkpoints and logs; goes on from what is there"
    )
    parser.add_argument("--bank", type=Path, help="for sam_unet_tiny")
    parser.add_argument("--development-bank", type=Path, help="held-back looks to measure on")
    parser.add_argument("--data", type=Path, help="root of the data, for SAM-UNet")
    parser.add_argument("--sources", help="TOML file with [[sources]], for SAM-UNet")
    parser.add_argument("--shards", type=Path, help="folder of shards, for SAM-UNet")
    parser.add_argument("--pause-file", type=Path, help="training waits while this file exists")
    parser.add_argument("--measure-every", type=count, default=250, metavar="STEPS", help="(default: 250)")
    parser.add_argument("--device", default="auto", help="auto (the default), cpu, cuda, mps")
    parser.add_argument("--threads", type=count, default=1, help="of each process (default: 1)")
    parser.add_argument("--processes", type=count, default=1, help="under torchrun: its --nproc-per-node (default: 1)")


def run(arguments: argparse.Namespace) -> ExitCode:
    with needing("train"):
        from ..learning.command import Files, run_training
    files = Files(**{field.name: getattr(arguments, field.name) for field in fields(Files)})
    run_training(
        arguments.config, files, arguments.measure_every, arguments.threads, arguments.processes, arguments.device
    )
    return ExitCode.OK
