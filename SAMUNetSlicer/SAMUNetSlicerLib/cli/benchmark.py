"""`samunet benchmark`: speed and memory on this machine, as ratios measured in one run."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

from ..errors import ExitCode
from ..evaluation.benchmarking.machine import describe_machine, measure_matrix_rates
from ..evaluation.benchmarking.run import Extent, default_models, has_weights, measure, open_subject
from ..evaluation.benchmarking.scene_figures import scene_report
from ..evaluation.benchmarking.table import Row, as_json, as_markdown
from ..inference.devices import choose_working_device
from ..inference.encoding.engines import EngineChoice
from ..option_types import count

HELP = "Measure speed and memory against the straightforward fp32 forward of the same network, and the machine's limit."
_QUICK = Extent(repetitions=3, propagated=10, blocked=5, planes=10, more_planes=20)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        nargs="+",
        help="models, checkpoint files, or network families, which get random weights "
        "(default: sam_unet_tiny and sam_unet_res34)",
    )
    parser.add_argument("--device", default="auto", help="auto (the default), cpu, cuda, mps")
    parser.add_argument(
        "--engine", choices=[e.value for e in EngineChoice], default=EngineChoice.AUTO.value,
        help="what encodes planes (default: OpenVINO where it is installed and the processor computes)",
    )  # fmt: skip
    parser.add_argument("--repetitions", type=count, help="of short works (default: 7, quick: 3)")
    parser.add_argument("--quick", action="store_true", help="fewer planes: a minute instead of ten, rougher")
    parser.add_argument("--no-scene", action="store_true", help="leave the scene's figures out")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> ExitCode:
    device = choose_working_device(arguments.device)
    engine = EngineChoice(arguments.engine)
    names = arguments.model or default_models()
    for name in names:  # before minutes are spent on the others
        has_weights(name)
    extent = _QUICK if arguments.quick else Extent()
    extent = replace(extent, repetitions=arguments.repetitions or extent.repetitions)
    machine = describe_machine(device)
    rates = measure_matrix_rates(device)
    has_amx = "amx" in machine["half precision in hardware"]
    half = "none" if rates.bf16 is None else f"{rates.bf16 / 1e9:.0f}"
    limit = f"fp32 {rates.fp32 / 1e9:.0f}, bf16 {half} GFLOP/s"
    if not arguments.json:
        print("\n".join(f"{what}: {value}" for what, value in machine.items()))
        print(f"(b), this machine's limit: one large matrix product, {limit}\n", flush=True)
    tables: dict[str, list[Row]] = {}
    for name in names:
        subject = open_subject(name, device, engine)
        rows = measure(subject, rates, engine, extent, has_amx, lambda what, name=name: _tell(f"{name}: {what}"))
        tables[subject.title] = list(rows)
        if not arguments.json:
            print(as_markdown(subject.title, tables[subject.title]), flush=True)
    scene = ""
    if not arguments.no_scene:
        _tell("scene")
        scene = scene_report()
    if arguments.json:
        facts = {"fp32_flops_per_s": rates.fp32, "bf16_flops_per_s": rates.bf16, "scene": scene.splitlines()}
        models = {title: as_json(rows) for title, rows in tables.items()}
        print(json.dumps({"machine": machine, **facts, "models": models}, indent=2))
    else:
        print(scene, end="")
    return ExitCode.OK


def _tell(what: str) -> None:
    print(f"measuring {what} ..", file=sys.stderr, flush=True)
