"""`samunet info`: what is in a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import ExitCode, UserError
from ..volumes.files.reading import describe_volume, read_frame
from ..volumes.segmentations.provenance import further_provenance_of, provenance_of
from ..volumes.segmentations.segmentation_file import count_segments

HELP = "Show what a volume or a .seg.nrrd segmentation holds."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="volume, image, DICOM folder or .seg.nrrd")
    parser.add_argument("--series", help="DICOM series to read where a folder holds several")
    parser.add_argument("--frame", type=int, default=0, metavar="N", help="volume of a 4D file or time series (from 0)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> ExitCode:
    if arguments.file.name.lower().endswith(".seg.nrrd"):
        if arguments.series is not None or arguments.frame != 0:
            raise UserError("A segmentation has no series or frames. Leave --series and --frame out.")
        facts = _describe_segmentation(arguments.file)
    else:
        volume, frames = read_frame(arguments.file, arguments.series, arguments.frame)
        facts = describe_volume(volume) | {"frames": frames}
    if arguments.json:
        print(json.dumps(facts, indent=2))
    else:
        _print_indented(facts)
    return ExitCode.OK


def _describe_segmentation(path: Path) -> dict:
    geometry, segments = count_segments(path)
    voxel_ml = float(geometry.spacing_ijk.prod()) / 1000
    return {
        "kind": "segmentation",
        "size": geometry.size_ijk.tolist(),
        "spacing_mm": [round(float(s), 6) for s in geometry.spacing_ijk],
        "segments": [
            {
                "name": s.name,
                "voxels": voxels,
                "volume_ml": round(voxels * voxel_ml, 3),
                "colour": [round(c, 3) for c in s.colour_rgb],
                **_describe_provenance(s.tags),
            }
            for s, voxels in segments
        ],
    }


def _describe_provenance(tags: Mapping[str, str]) -> dict:
    """From the segment's own tags: names need not differ."""
    provenance, further = provenance_of(tags), further_provenance_of(tags)
    described = {"provenance": json.loads(provenance.to_json()) if provenance else None}
    return described | ({"further_provenance": [json.loads(p.to_json()) for p in further]} if further else {})


def _print_indented(facts: dict, indent: str = "") -> None:
    for key, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print(f"{indent}{key}:")
            for item in value:
                _print_indented(item, indent + "  ")
                print()
        elif isinstance(value, dict):
            print(f"{indent}{key}:")
            _print_indented(value, indent + "  ")
        else:
            print(f"{indent}{key}: {value}")
