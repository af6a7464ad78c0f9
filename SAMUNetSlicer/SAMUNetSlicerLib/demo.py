"""`make demo`: the main job on a real CT, from markups files to a saved segmentation, with a Dice at the end.

The boxes are drawn from a reference by a rule that the demo prints; everything after that is the command line that a
user would type. The reference is a *pseudo-reference*: another model's output, not a human's drawing.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .atomic_file import made_folder
from .cli import main as samunet
from .errors import InputError, UserError
from .inference.mask_geometry import dice, largest_component
from .inference.prompts import bounding_box_xyxy
from .project import NOT_FOR_CLINICAL_USE
from .volumes.files.markups_writing import write_markups
from .volumes.files.reading import read_volume
from .volumes.geometry import GridGeometry
from .volumes.planes import Orientation, Plane, PlaneStack
from .volumes.prompts import BoxPrompt, SegmentPrompts
from .volumes.sampling import voxels_to_mask
from .volumes.segmentations.label_images import read_labels_on_grid
from .volumes.segmentations.segmentation_file import read_segmentation

# Values of the reference (TotalSegmentator's class map).
LABELS = {"liver": 5, "spleen": 1}
BOXES_PER_ORGAN = 3
RULE = (
    f"{BOXES_PER_ORGAN} evenly spaced planes of each organ (at 1/6, 3/6 and 5/6 of the planes that the reference "
    "labels), on each the box around the largest connected part of the reference"
)
_DATA = Path(__file__).resolve().parents[2] / "Testing" / "Data"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns an exit code; errors that the user can mend are one line on standard error."""
    try:
        return _run(argv)
    except UserError as error:
        print(f"demo: {error}", file=sys.stderr)
        return int(error.exit_code)


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=_DATA, help="folder of the demo's CT and reference")
    parser.add_argument("--output", type=Path, default=Path("output/demo"), help="folder to write to")
    parser.add_argument("--model", help="as in `samunet segment`")
    arguments = parser.parse_args(argv)
    made_folder(arguments.output)
    series = arguments.data / "ct_abdomen_dicom"
    geometry = read_volume(series).geometry
    reference = read_reference(arguments.data / "ct_abdomen_reference.nii.gz", geometry)

    print(f"Prompts: {RULE}.")
    markups = arguments.output / "boxes.mrk.json"
    write_markups(markups, [boxes_from_reference(name, mask, geometry) for name, mask in reference.items()])
    result = arguments.output / "ct_abdomen.seg.nrrd"
    picture = arguments.output / "ct_abdomen.png"
    command = ["segment", str(series), "--box", str(markups), "--picture", str(picture), "-o", str(result)]
    if arguments.model:
        command += ["--model", arguments.model]
    print(f"$ samunet {shlex.join(command)}", flush=True)
    if code := samunet(command):
        return code

    found = {segment.name: segment.mask_kji for segment in read_segmentation(result)[1]}
    for name, mask in reference.items():
        print(f"{name}: Dice {dice(found[name], mask):.3f} against the pseudo-reference (another model's output)")
    print(f"Picture: {picture}\n{NOT_FOR_CLINICAL_USE}")
    return 0


def read_reference(path: Path, geometry: GridGeometry) -> dict[str, np.ndarray]:
    """(K, J, I) masks on the volume's grid; the file's own grid may be flipped against it."""
    on_grid = read_labels_on_grid(path, geometry)
    masks = {name: on_grid == value for name, value in LABELS.items()}
    if not all(mask.any() for mask in masks.values()):
        raise InputError(f"{path.name} does not hold the organs of the demo where the volume lies.")
    return masks


def boxes_from_reference(name: str, mask_kji: np.ndarray, geometry: GridGeometry) -> SegmentPrompts:
    """Boxes on axial planes, by the demo's rule."""
    stack = PlaneStack(geometry, Orientation.AXIAL)
    labelled = [i for i, plane in enumerate(stack) if voxels_to_mask(mask_kji, plane, geometry).any()]
    shares = (np.arange(BOXES_PER_ORGAN) * 2 + 1) / (2 * BOXES_PER_ORGAN)
    chosen = sorted({labelled[round(share * (len(labelled) - 1))] for share in shares})
    boxes = [_box_around(name, voxels_to_mask(mask_kji, stack[i], geometry), stack[i]) for i in chosen]
    return SegmentPrompts(name, boxes=tuple(boxes))


def _box_around(name: str, mask_yx: np.ndarray, plane: Plane) -> BoxPrompt:
    x0, y0, x1, y1 = bounding_box_xyxy(largest_component(mask_yx))
    width, height = x1 - x0, y1 - y0
    # Pixel centres have integer coordinates, so the middle of pixels a .. b - 1 is (a + b - 1) / 2.
    centre = [(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2]
    axes = plane.pixel_to_ras[:3, :3].T
    lengths = np.linalg.norm(axes, axis=1)
    size = (width * lengths[0], height * lengths[1], lengths[2])
    return BoxPrompt(tuple(plane.to_ras(centre)), size, tuple(map(tuple, axes / lengths[:, None])), label=name)


if __name__ == "__main__":
    sys.exit(main())
