"""`samunet segment`: from a volume and markups files to a `.seg.nrrd`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..atomic_file import check_destination
from ..checkpoints.catalogue import DEFAULT_MODEL
from ..checkpoints.loading import LoadedModel, load_network
from ..errors import ExitCode, UserError
from ..inference.devices import choose_working_device, describe_device
from ..inference.encoding.disk_cache import DiskCache
from ..inference.encoding.encoders import Precision
from ..inference.encoding.engines import EngineChoice
from ..inference.encoding.kept_encodings import default_folder
from ..inference.opening import open_predictor
from ..inference.predictor import PlanePredictor
from ..inference.prompt_rules import check_answers_prompts
from ..inference.zoom import ZoomMode, ZoomPolicy
from ..volumes.files.markups import collect_prompts
from ..volumes.files.reading import read_frame
from ..volumes.geometry import GridGeometry
from ..volumes.jobs.class_job import ClassJob
from ..volumes.jobs.results import orientation_name, result_provenance, result_segments
from ..volumes.jobs.segmentation_job import PlaneDone, SegmentationJob
from ..volumes.plane_source import VolumePlanes
from ..volumes.planes import ObliqueStack, Orientation, PlaneStack, acquisition_orientation
from ..volumes.prompts import BoxExtent
from ..volumes.propagation.steps import Direction, PlaneRange
from ..volumes.segmentations.segmentation_file import write_segmentation
from ..volumes.volume import Volume
from ..volumes.windows import CT_PRESETS, default_window, parse_window
from .models import add_family_arguments
from .progress import shown

HELP = "Segment a volume from points and boxes placed in Slicer (.mrk.json)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("volume", type=Path, help="NRRD, NIfTI, MHA, DICOM folder, or a 2D image")
    parser.add_argument("--series", help="DICOM series to read where a folder holds several")
    parser.add_argument("--frame", type=int, metavar="N", help="volume of a 4D file or time series (from 0; default 0)")
    parser.add_argument("--points", type=Path, nargs="+", action="extend", default=[], help="point lists")
    parser.add_argument("--box", type=Path, nargs="+", action="extend", default=[], help="ROIs (boxes)")
    parser.add_argument("--segment", nargs="+", action="extend", metavar="NAME", help="names of the segments")
    parser.add_argument(
        "--orientation",
        choices=["auto", *(o.value for o in Orientation)],
        default="auto",
        help="planes to work on (default: auto, those that the scanner took)",
    )
    parser.add_argument(
        "--slice-to-ras",
        type=float,
        nargs=16,
        metavar="M",
        help="oblique planes instead: a slice view's SliceToRAS matrix, row by row",
    )
    parser.add_argument(
        "--box-planes", choices=["centre", "all"], default="centre", help="planes that a box prompts (default: centre)"
    )
    parser.add_argument(
        "--propagate",
        choices=[d.value for d in Direction],
        default=Direction.BOTH.value,
        help="which way to go from the prompted planes (default: both); up is towards higher plane numbers",
    )
    parser.add_argument(
        "--range",
        type=_plane_range,
        metavar="FIRST:LAST",
        help="planes that the propagation stays within (from 0); prompted planes are answered wherever they are",
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help=f"model name or checkpoint file (default: {DEFAULT_MODEL})"
    )
    add_family_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto (the default), cpu, cuda, mps")
    parser.add_argument(
        "--engine",
        choices=[e.value for e in EngineChoice],
        default=EngineChoice.AUTO.value,
        help="what encodes planes (default: OpenVINO where it is installed and the processor computes)",
    )
    parser.add_argument(
        "--precision",
        choices=[p.value for p in Precision],
        default=Precision.AUTO.value,
        help="of the numbers that encode planes (default: half where the hardware has it)",
    )
    parser.add_argument(
        "--disk-cache",
        action="store_true",
        help="keep encodings of planes on this computer for the next run. They are computed from the pictures: patient "
        "data. 'samunet cache clear' removes them",
    )
    parser.add_argument(
        "--window",
        default="auto",
        help=f"auto (the default), a CT preset ({', '.join(CT_PRESETS)}), or two numbers as --window=LOWER:UPPER",
    )
    parser.add_argument(
        "--zoom",
        choices=[z.value for z in ZoomMode],
        default=ZoomMode.ADAPTIVE.value,
        help="encode a part around the prompts (default), or always the whole plane",
    )
    parser.add_argument("--picture", type=Path, help="write a contact sheet (PNG) of the result")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .seg.nrrd to write")


def run(arguments: argparse.Namespace) -> ExitCode:
    if not arguments.output.name.lower().endswith(".seg.nrrd"):
        raise UserError(f"The output must end in .seg.nrrd, not {arguments.output.name}.")
    if arguments.picture and arguments.picture.suffix.lower() != ".png":
        raise UserError(f"The picture must end in .png, not {arguments.picture.name}.")
    for path in filter(None, (arguments.output, arguments.picture)):
        check_destination(path)  # before the work, not after it
    others = (arguments.output, arguments.volume, *arguments.points, *arguments.box)
    if arguments.picture and arguments.picture.resolve() in {path.resolve() for path in others}:
        raise UserError(f"The picture would overwrite {arguments.picture}. Give it another name.")
    extent = BoxExtent.ALL_PLANES if arguments.box_planes == "all" else BoxExtent.CENTRE_PLANE
    prompts = []
    if arguments.points or arguments.box:
        prompts = collect_prompts(arguments.points, arguments.box, arguments.segment, extent)
    volume, frame = _read(arguments)
    window = parse_window(arguments.window) or default_window(volume)
    planes = VolumePlanes(volume, _stack(arguments, volume.geometry), window)
    device = choose_working_device(arguments.device)
    model = load_network(arguments.model, arguments.family, base=arguments.base, input_size=arguments.input_size)
    print(f"{model.name} on {describe_device(device)}, {orientation_name(planes.stack)} planes", file=sys.stderr)
    if model.network.spec.classes and not prompts:
        job = ClassJob(planes, model.network, device, _tell)
        steps = job.run()
    else:
        check_answers_prompts(model.network.spec)
        predictor = _predictor(arguments, model, device)
        job = SegmentationJob(planes, predictor, Direction(arguments.propagate), arguments.range)
        steps = job.run(prompts)
    stopped_by = _run_to_the_end(steps)
    planes_done = sum(len(result.planes) for result in job.results.values())
    if stopped_by is not None:
        if not planes_done:
            raise stopped_by
        print(f"The work ended early; what is finished ({_planes(planes_done)}) will be saved.", file=sys.stderr)
    write_segmentation(
        arguments.output,
        volume.geometry,
        result_segments(job.results),
        result_provenance(job, model.family, model.sha256, frame),
    )
    if arguments.picture:
        # Only those who want a picture need matplotlib.
        from ..evaluation.picture import contact_sheet

        contact_sheet(arguments.picture, planes, job.results)
    _report(arguments, job, model, finished=stopped_by is None)
    if stopped_by is not None:
        raise stopped_by
    return ExitCode.OK


def _read(arguments: argparse.Namespace) -> tuple[Volume, int | None]:
    """The volume, and which of several it is: None where there is one only."""
    frame = arguments.frame or 0
    volume, frames = read_frame(arguments.volume, arguments.series, frame)
    if arguments.frame is None and frames > 1:
        print(f"There are {frames} frames; frame 0 is segmented. --frame N chooses another.", file=sys.stderr)
    return volume, frame if frames > 1 else None


def _stack(arguments: argparse.Namespace, geometry: GridGeometry) -> PlaneStack | ObliqueStack:
    if arguments.slice_to_ras is not None:
        try:
            return ObliqueStack(np.reshape(arguments.slice_to_ras, (4, 4)), geometry)
        except ValueError as error:
            raise UserError(f"--slice-to-ras: {error}") from error
    if arguments.orientation == "auto":
        return PlaneStack(geometry, acquisition_orientation(geometry))
    return PlaneStack(geometry, Orientation(arguments.orientation))


def _predictor(arguments: argparse.Namespace, model: LoadedModel, device: torch.device) -> PlanePredictor:
    return open_predictor(
        model,
        device,
        ZoomPolicy(ZoomMode(arguments.zoom)),
        EngineChoice(arguments.engine),
        Precision(arguments.precision),
        told=_tell,
        disk_cache=DiskCache(default_folder()) if arguments.disk_cache else None,
    )


def _tell(message: str) -> None:
    print(message, file=sys.stderr)


def _run_to_the_end(steps: Iterator[PlaneDone]) -> BaseException | None:
    """What ended the work early, if anything did: an error or Ctrl-C. What is finished is kept in the job."""
    try:
        for _ in shown(steps):
            pass
    except (Exception, KeyboardInterrupt) as error:
        return error
    return None


def _report(arguments: argparse.Namespace, job: SegmentationJob | ClassJob, model: LoadedModel, finished: bool) -> None:
    voxel_ml = float(job.planes.volume.geometry.spacing_ijk.prod()) / 1000
    summary = {
        "output": str(arguments.output),
        "model": model.name,
        "finished": finished,
        "segments": {
            name: {
                "voxels": int(result.mask_kji.sum()),
                "volume_ml": round(float(result.mask_kji.sum()) * voxel_ml, 3),
                "planes": {str(r.index): r.confidence for r in result.planes.values()},
            }
            for name, result in job.results.items()
        },
    }
    if arguments.json:
        print(json.dumps(summary))
        return
    for name, facts in summary["segments"].items():
        print(f"{name}: {facts['volume_ml']} ml on {_planes(len(facts['planes']))}")
    print(f"Saved {arguments.output}")


def _planes(count: int) -> str:
    return f"{count} plane{'' if count == 1 else 's'}"


def _plane_range(text: str) -> PlaneRange:
    try:
        first, last = (int(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a range of planes such as 10:42") from None
    if not 0 <= first <= last:
        raise argparse.ArgumentTypeError(f"'{text}' is empty: the first plane must not lie behind the last")
    return PlaneRange(first, last)
