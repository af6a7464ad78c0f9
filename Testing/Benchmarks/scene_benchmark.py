"""How long accepting takes, and how much memory undo holds, in a volume of 512 x 512 x 200 voxels.

PYTHONPATH=SAMUNetSlicer python Testing/Benchmarks/scene_benchmark.py

Needs slicer-core. The object is an ellipsoid of 420 x 380 pixels on its largest plane, with a wavy border; every plane
is proposed (without a network: what a preview costs after the answer), then accepted by itself, once beside others that
were accepted before (the segment's labelmap grows) and once over them (it does not). All sorts of planes: axial,
coronal, sagittal, oblique. At last all planes of a stack are proposed and accepted in one step.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing" / "Python"), str(ROOT / "Testing" / "Python" / "scene")]

import scenery  # noqa: E402

from mrml_host import the_host  # noqa: E402
from SAMUNetSlicerLib.inference.predictor import PlaneMask  # noqa: E402
from SAMUNetSlicerLib.inference.zoom import Crop  # noqa: E402
from SAMUNetSlicerLib.scene.actions.recorder import recording  # noqa: E402
from SAMUNetSlicerLib.scene.actions.segmenting import propose  # noqa: E402
from SAMUNetSlicerLib.scene.record.document import PlaneKey  # noqa: E402
from SAMUNetSlicerLib.volumes.sampling import voxels_to_mask  # noqa: E402
from SAMUNetSlicerLib.volumes.segmentations.provenance import PlaneOrigin  # noqa: E402

SHAPE = (200, 512, 512)
PLANES = range(50, 150)

# By the clock and of the processor, ms.
Times = tuple[float, float]


def ellipsoid(chance: np.random.Generator) -> np.ndarray:
    """(K, J, I) bool."""
    k, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    angle = np.arctan2(j - 256, i - 256)
    waves = sum(chance.uniform(-0.02, 0.02) * np.cos(n * angle + chance.uniform(0, 6)) for n in range(3, 20))
    return ((k - 100) / 95) ** 2 + ((j - 256) / 190) ** 2 + ((i - 256) / 210) ** 2 < (1 + waves) ** 2


def answer_on(desk, stack, index: int, mask_kji: np.ndarray) -> PlaneMask:
    plane = desk.space.stack(stack)[index]
    mask = voxels_to_mask(mask_kji, plane, desk.space.check().geometry)
    height, width = plane.shape_yx
    return PlaneMask(np.where(mask, 5, -5).astype(np.float32), 0.9, Crop(0, 0, width, height))


def propose_plane(desk, stack, index: int, answer: PlaneMask, origin: PlaneOrigin) -> None:
    key = PlaneKey("", desk.ids[0], stack.text, index)
    with recording(desk.space, "Segment") as recorder:
        propose(recorder, key, answer, 0.9, origin, scenery.MODEL)


def accept_one_by_one(desk, stack, view, indices, mask_kji: np.ndarray) -> tuple[list[Times], list[Times]]:
    """Milliseconds of each preview and of each accept, by the clock and of the processor."""
    previews, accepts = [], []
    for index in indices:
        answer = answer_on(desk, stack, index, mask_kji)
        previews.append(timed(partial(propose_plane, desk, stack, index, answer, PlaneOrigin.PROMPTED)))
        accepts.append(timed(partial(desk.logic.accept, desk.segmentation, desk.ids[0], [index], sliceToRAS=view)))
    return previews, accepts


def accept_all(desk, name: str, stack, view, mask_kji: np.ndarray) -> None:
    """All planes of a stack in one step, back and forth."""
    count = len(desk.space.stack(stack))
    with desk.logic.step(desk.segmentation, "Propose all"):
        for index in range(count):
            propose_plane(desk, stack, index, answer_on(desk, stack, index, mask_kji), PlaneOrigin.PROPAGATED)
    actions = {
        "accepted at once": partial(desk.logic.accept, desk.segmentation, desk.ids[0], sliceToRAS=view),
        "undone": partial(desk.logic.undo, desk.segmentation),
        "done again": partial(desk.logic.redo, desk.segmentation),
    }
    for what, action in actions.items():
        clock, processor = timed(action)
        print(f"  all {count} {name} planes {what}: {clock:.0f} ms; processor {processor:.0f} ms")


def timed(action: Callable[[], object]) -> Times:
    clock, processor = time.perf_counter(), time.process_time()
    action()
    return 1000 * (time.perf_counter() - clock), 1000 * (time.process_time() - processor)


def report(what: str, times: list[Times]) -> None:
    clock, processor = (sorted(column) for column in zip(*times, strict=True))
    slowest = clock[int(0.95 * (len(times) - 1))]
    print(
        f"{what:30} median {statistics.median(clock):6.1f} ms, 95 % below {slowest:6.1f} ms; "
        f"processor {statistics.median(processor):6.1f} ms   ({len(times)} times)"
    )


def main() -> None:
    chance = np.random.default_rng(0)
    mask = ellipsoid(chance)
    volume = np.where(mask, 100, 0).astype(np.int16)
    desk = scenery.Desk(the_host().scene, volume, matrix=scenery.ijk_to_ras((0.8, 0.8, 2.0)))
    grid = desk.space.check().geometry
    middle = grid.to_ras(grid.size_ijk // 2)
    views = {
        "axial": scenery.slice_to_ras((0, 0, 1), middle, up=(0, 1, 0)),
        "coronal": scenery.slice_to_ras((0, 1, 0), middle, up=(0, 0, 1)),
        "sagittal": scenery.slice_to_ras((1, 0, 0), middle, up=(0, 0, 1)),
        "oblique": scenery.slice_to_ras((1, 1, 2), middle),
    }
    planes = {name: desk.logic.stackKey(desk.segmentation, sliceToRAS=view) for name, view in views.items()}
    other = ellipsoid(chance)
    previews, growing = accept_one_by_one(desk, planes["axial"], views["axial"], PLANES, mask)
    print(f"Accepting one plane of {SHAPE[2]} x {SHAPE[1]} x {SHAPE[0]} voxels")
    report("  axial, preview", previews)
    report("  axial, the segment grows", growing)
    memory = {"axial": held_by(desk)}
    _, again = accept_one_by_one(desk, planes["axial"], views["axial"], PLANES, other)
    report("  axial, accepted again", again)
    for name in ("coronal", "sagittal", "oblique"):
        desk.space.history.clear()
        stack = desk.space.stack(planes[name])
        indices = np.linspace(0.3, 0.7, 50) * len(stack)
        previews, accepts = accept_one_by_one(desk, planes[name], views[name], indices.astype(int).tolist(), mask)
        report(f"  {name}, preview", previews)
        report(f"  {name}", accepts)
        memory[name] = held_by(desk)
    report("  undoing (oblique planes)", [timed(partial(desk.logic.undo, desk.segmentation)) for _ in range(100)])
    for name, (held, steps) in memory.items():
        print(f"Undo memory of {steps} steps ({name} planes proposed and accepted): {held / 2**20:.1f} MiB")
    for name in ("axial", "oblique"):
        accept_all(desk, name, planes[name], views[name], other)


def held_by(desk) -> tuple[int, int]:
    """What undo holds: bytes, steps."""
    return desk.space.history.nbytes, len(desk.space.history)


if __name__ == "__main__":
    main()
