"""Parts of one story, each run as a process of its own: python resume_story.py PART FOLDER.

`whole` does all in one process; `begin` stops after a propagation that was cancelled and saves; `go on` loads and
finishes. Both ends write what came out as `<PART>.json`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[2] / "SAMUNetSlicer")]

import scenery  # noqa: E402

from mrml_host import the_host  # noqa: E402
from SAMUNetSlicerLib.scene.logic import SegmentationLogic  # noqa: E402
from SAMUNetSlicerLib.scene.nodes.labelmaps import read_mask  # noqa: E402
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry  # noqa: E402
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import segment_ids, segment_name  # noqa: E402
from SAMUNetSlicerLib.scene.record.editing_rules import EditingRules, Overwrite  # noqa: E402
from SAMUNetSlicerLib.volumes.windows import Window  # noqa: E402

VIEW = scenery.tilted() @ scenery.slice_to_ras((1, 2, 2), (4.0, 17.0, 32.0))


def first_half(scene) -> scenery.Desk:
    """Two segments, prompts on grid and oblique planes, accepted planes, a propagation cancelled half-way."""
    transform = scenery.linear_transform(scene, scenery.tilted())
    voxels = scenery.picture(scenery.ball((6, 12, 9)), scenery.ball((6, 12, 22), 5.0))
    desk = scenery.Desk(scene, voxels, segments=("Liver", "Left; odd | name"), transform=transform)
    logic, node = desk.logic, desk.segmentation
    logic.setEditingRules(node, EditingRules(Overwrite.VISIBLE))
    logic.setWindow(node, Window(0, 300))
    desk.propose(6, at=(12, 9))
    desk.accept()
    logic.segment(desk.volume, node, desk.ids[1], points=[desk.world((6, 12, 22))], sliceToRAS=VIEW)
    desk.propose(6, number=1, at=(12, 22))
    running = logic.propagate(node, desk.ids[0], "axial")
    for _ in range(3):
        next(running)
    running.close()
    return desk


def second_half(logic, node, volume) -> dict:
    """Go on from there."""
    ids = segment_ids(node)
    for segment_id in ids:
        list(logic.propagate(node, segment_id, "axial"))
    stack = logic.stackKey(node, sliceToRAS=VIEW)
    logic.segment(volume, node, ids[1], sliceToRAS=VIEW)
    logic.accept(node, ids[1], sliceToRAS=VIEW)
    for segment_id in ids:
        logic.accept(node, segment_id, orientation="axial")
    space = logic.workspace(node)
    geometry = local_geometry(volume)
    return {
        "masks": {
            segment_name(node, i): hashlib.sha256(read_mask(node, i, geometry).tobytes()).hexdigest() for i in ids
        },
        "voxels": [int(read_mask(node, i, geometry).sum()) for i in ids],
        "record": json.loads(space.document.to_json()),
        "stack": stack.text,
        "names": [segment_name(node, i) for i in ids],
    }


def main(part: str, folder: Path) -> None:
    scene = the_host().scene
    if part == "whole":
        desk = first_half(scene)
        found = second_half(desk.logic, desk.segmentation, desk.volume)
    elif part == "begin":
        desk = first_half(scene)
        desk.logic.saveScene(folder / "work.mrb")
        found = {"record": json.loads(desk.space.document.to_json())}
    else:
        if not scene.ReadFromMRB(str(folder / "work.mrb")):
            raise OSError("the saved scene does not load")
        logic = SegmentationLogic(scene)
        logic.setPredictor(scenery.predictor(), scenery.MODEL)
        (work,) = logic.restore(lambda model: model == scenery.MODEL)
        restored = json.loads(work.workspace.document.to_json())
        space = work.workspace
        found = second_half(logic, space.segmentation_node, space.volume_node)
        found |= {"restored": restored, "notes": work.notes, "summary": work.summary}
    (folder / f"{part}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
