"""`samunet benchmark`: speed on this machine, as ratios measured in one run."""

from __future__ import annotations

import argparse
import json
import platform
import sys

import torch

from ..errors import ExitCode
from ..evaluation.benchmark import compare
from ..inference.devices import choose_device, describe_device
from ..inference.engines import EngineChoice
from ..networks.registry import FAMILIES, build

HELP = "Measure how long a plane takes, against the straightforward fp32 forward of the same network."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--family", choices=sorted(FAMILIES), default="sam_unet_res34")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--engine", choices=[e.value for e in EngineChoice], default=EngineChoice.AUTO.value)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> ExitCode:
    device = choose_device(arguments.device)
    torch.manual_seed(0)
    # Speed does not depend on the weights, so that no checkpoint is needed.
    network = build(arguments.family, device="cpu")
    print(f"{arguments.family} (random weights) on {describe_device(device)}", file=sys.stderr)
    comparisons = compare(network, device, EngineChoice(arguments.engine), arguments.repetitions)
    if arguments.json:
        machine = {"python": platform.python_version(), "torch": torch.__version__, "device": describe_device(device)}
        rows = [
            {"work": c.work, "straightforward_s": c.straightforward, "ours_s": c.ours, "times_faster": c.times_faster}
            for c in comparisons
        ]
        print(json.dumps({"family": arguments.family, "machine": machine, "rows": rows}, indent=2))
        return ExitCode.OK
    print(f"{'':48} {'fp32 forward':>14} {'ours':>10} {'ratio':>8}")
    for c in comparisons:
        print(f"{c.work:48} {c.straightforward * 1000:>11.1f} ms {c.ours * 1000:>7.1f} ms {c.times_faster:>7.2f}x")
    return ExitCode.OK
