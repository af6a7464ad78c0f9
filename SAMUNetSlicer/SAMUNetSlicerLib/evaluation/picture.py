"""A contact sheet of a result: planes in a grid, contours in the segments' colours, the prompts that were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import patches
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..atomic_file import written_whole
from ..inference.prompts import PlanePrompts, Sign, bounding_box_xyxy
from ..volumes.jobs.segmentation_job import SegmentResult
from ..volumes.plane_source import VolumePlanes
from ..volumes.sampling import voxels_to_mask
from ..volumes.segmentations.segments import default_colours
from .case_sets import spread

Rectangle = tuple[float, float, float, float]

COLUMNS = 5
MOST_PLANES = 20
_INCHES = 2.6  # per picture
_NAMES_INCHES = 0.25  # per row of names
_MARGIN = 0.12  # shown around the segments, as a share of their extent


def contact_sheet(path: Path, planes: VolumePlanes, results: Mapping[str, SegmentResult]) -> None:
    """Write a PNG of the segmented planes (at most 20, the prompted ones first).

    Raises OutputError where `path` cannot be written.
    """
    chosen = choose_planes(results)
    columns = min(COLUMNS, max(1, len(chosen)))
    rows = max(1, -(-len(chosen) // columns))
    named_rows = -(-len(results) // columns)
    height = rows * _INCHES + 0.25 + named_rows * _NAMES_INCHES
    figure = Figure(figsize=(columns * _INCHES, height), layout="constrained", facecolor="black")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = dict(zip(results, default_colours(list(results)), strict=True))
    view = _view_around(planes, chosen, results)
    for axis in axes:
        axis.set_axis_off()
    for axis, index in zip(axes, chosen, strict=False):
        _draw_plane(axis, planes, index, results, colours, view)
    handles = [Line2D([], [], color=colour, label="name") for colour in colours.values()]
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=min(columns, len(handles)), labelcolor="white", frameon=False
    )
    for text, name in zip(legend.get_texts(), colours, strict=True):
        # As it is: a label would be left out if it began with "_", and a formula between "$".
        text.set_parse_math(False)
        text.set_text(name)
    with written_whole(path) as stream:
        FigureCanvasAgg(figure).print_png(stream)


def choose_planes(results: Mapping[str, SegmentResult]) -> list[int]:
    """Plane numbers to show: all that were segmented; of too many, evenly spread, prompted ones before others."""
    segmented = sorted({i for result in results.values() for i in result.planes})
    prompted = {i for result in results.values() for i in result.plane_prompts}
    first = spread([i for i in segmented if i in prompted], MOST_PLANES)
    return sorted(first + spread([i for i in segmented if i not in prompted], MOST_PLANES - len(first)))


def _view_around(planes: VolumePlanes, chosen: Sequence[int], results: Mapping[str, SegmentResult]) -> Rectangle:
    """The part of the planes that holds all segments and prompts, with a margin; the same for every picture."""
    width, height = planes.stack[0].size_xy
    extents = [p.extent_xyxy() for r in results.values() for p in r.plane_prompts.values()]
    for index in chosen:
        masks = [voxels_to_mask(r.mask_kji, planes.stack[index], planes.volume.geometry) for r in results.values()]
        extents += [bounding_box_xyxy(mask) for mask in masks if mask.any()]
    if not extents:
        return -0.5, -0.5, width - 0.5, height - 0.5
    x0, y0, x1, y1 = zip(*extents, strict=True)
    margin = _MARGIN * max(max(x1) - min(x0), max(y1) - min(y0))
    return (
        max(min(x0) - margin, 0) - 0.5,
        max(min(y0) - margin, 0) - 0.5,
        min(max(x1) + margin, width) - 0.5,
        min(max(y1) + margin, height) - 0.5,
    )


def _draw_plane(
    axis: Axes,
    planes: VolumePlanes,
    index: int,
    results: Mapping[str, SegmentResult],
    colours: Mapping[str, Sequence[float]],
    view_xyxy: Rectangle,
) -> None:
    plane, geometry = planes.stack[index], planes.volume.geometry
    axis.imshow(planes.image(index).rgb)
    axis.set_xlim(view_xyxy[0], view_xyxy[2])
    axis.set_ylim(view_xyxy[3], view_xyxy[1])
    for name, result in results.items():
        draw_contour(axis, voxels_to_mask(result.mask_kji, plane, geometry), colours[name])
        if index in result.plane_prompts:
            _draw_prompts(axis, result.plane_prompts[index], colours[name])
    records = [result.planes[index] for result in results.values() if index in result.planes]
    trust = min((r.confidence for r in records), default=0.0)
    axis.set_title(f"plane {index}   confidence {trust:.2f}", color="white", fontsize=7, pad=2)


def draw_contour(axis: Axes, mask_yx: np.ndarray, colour) -> None:
    """The border of a (H, W) bool mask; nothing for an empty one."""
    # Padded, so that contours close at the picture's border.
    if mask_yx.any():
        grid = np.pad(mask_yx, 1).astype(float)
        xs, ys = np.arange(grid.shape[1]) - 1, np.arange(grid.shape[0]) - 1
        axis.contour(xs, ys, grid, levels=[0.5], colors=[colour], linewidths=0.9)


def draw_box(axis: Axes, box_xyxy: Rectangle, colour) -> None:
    """A half-open box, dashed."""
    x0, y0, x1, y1 = box_xyxy
    # Pixel x covers x - .5 .. x + .5 of the picture.
    corner = (x0 - 0.5, y0 - 0.5)
    axis.add_patch(
        patches.Rectangle(corner, x1 - x0, y1 - y0, fill=False, edgecolor=colour, linestyle="--", linewidth=0.9)
    )


def _draw_prompts(axis: Axes, prompts: PlanePrompts, colour) -> None:
    if prompts.box_xyxy is not None:
        draw_box(axis, prompts.box_xyxy, colour)
    for (x, y), sign in zip(prompts.points_xy, prompts.signs, strict=True):
        marker = "+" if sign is Sign.POSITIVE else "x"
        axis.plot(x, y, marker=marker, color="lime" if sign is Sign.POSITIVE else "red", markersize=6)
