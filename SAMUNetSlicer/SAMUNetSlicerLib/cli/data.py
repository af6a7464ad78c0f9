"""`samunet data`: collections made ready for training."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ..errors import ExitCode, InputError, UserError
from ..extras import needing
from ..option_types import count, enlargement, share, whole

HELP = "Make collections ready for training: shards of millions of pictures, banks of encoded looks."

_SPLITS = ("train", "development")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    works = parser.add_subparsers(metavar="WORK", required=True)

    shard = works.add_parser("shard", help="write WebDataset shards of one side of the split by case")
    _add_sources(shard)
    shard.add_argument("--output", type=Path, required=True, help="folder for the shards")
    shard.add_argument("--shard-length", type=count, default=1000, help="pictures of a shard (default: 1000)")
    shard.add_argument("--planes", type=count, default=30, help="of each volume (default: 30)")
    shard.set_defaults(work=_shard)

    bank = works.add_parser("bank", help="fill a bank with looks and their frozen encodings, for sam_unet_tiny")
    _add_sources(bank)
    bank.add_argument("--weights", type=Path, required=True, help="checkpoint with the frozen encoder: LiteMedSAM's")
    bank.add_argument("--bank", type=Path, required=True, help="folder to fill; goes on with what is missing")
    bank.add_argument("--looks", type=count, default=4800, help="of training (default: 4800)")
    bank.add_argument("--per-source", type=count, default=4, help="development looks of each source (default: 4)")
    bank.add_argument(
        "--zoom", type=enlargement, default=2.0, help="side of development looks over the box's (default: 2)"
    )
    bank.add_argument("--synthetic", type=share, default=0.38, help="share of synthetic looks (default: 0.38)")
    bank.add_argument("--seed", type=whole, default=0, help="another one draws other looks (default: 0)")
    bank.add_argument("--threads", type=count, default=2, help="of the encoder (default: 2)")
    bank.add_argument("--workers", type=count, default=1, help="processes that fill the bank together (default: 1)")
    bank.add_argument("--worker", type=whole, default=0, help="which of them this is, from 0")
    bank.set_defaults(work=_bank)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sources", required=True, help="TOML file with [[sources]], or a shipped configuration's name"
    )
    parser.add_argument("--data", type=Path, required=True, help="root of the data")
    parser.add_argument("--split", choices=_SPLITS, default=_SPLITS[0], help="by case (default: train)")


def run(arguments: argparse.Namespace) -> ExitCode:
    return arguments.work(arguments)


def _shard(arguments: argparse.Namespace) -> ExitCode:
    with needing("train"):
        from ..learning.data.production import read_sources
        from ..learning.data.shards import write_shards
        from ..learning.data.sources import Split
    specs, split = read_sources(arguments.sources), Split(arguments.split)
    written = write_shards(specs, arguments.data, arguments.output, split, arguments.shard_length, arguments.planes)
    print(f"{written.samples} pictures written, {written.skipped} left out")
    return ExitCode.OK


def _bank(arguments: argparse.Namespace) -> ExitCode:
    with needing("train"):
        from ..learning.data.bank import SHARD_LENGTH
        from ..learning.data.production import development_looks, fill_bank, read_sources, training_looks
        from ..learning.data.sources import Split
    if not 0 <= arguments.worker < arguments.workers:
        raise UserError(f"There is no worker {arguments.worker}: {arguments.workers} are counted from 0.")
    specs = read_sources(arguments.sources)
    if Split(arguments.split) is Split.TRAIN:
        looks = training_looks(specs, arguments.data, arguments.synthetic, arguments.seed)
        shards = -(-arguments.looks // SHARD_LENGTH)
    else:
        found = list(development_looks(specs, arguments.data, arguments.per_source, arguments.zoom))
        if not found:
            raise InputError("No look was found on the held-back side. Raise development_fraction of the sources.")
        shards = -(-len(found) // SHARD_LENGTH)

        def looks(index: int) -> list:
            return found[index * SHARD_LENGTH : (index + 1) * SHARD_LENGTH]

    own = range(arguments.worker, shards, arguments.workers)
    filled = fill_bank(arguments.bank, looks, own, arguments.weights, arguments.threads)
    for _ in tqdm(filled, total=len(own), unit="shard", disable=None, dynamic_ncols=True):
        pass
    return ExitCode.OK
