"""Results of a sequence's items saved and gone on with, each part a process of its own: items_story.py PART FOLDER.

`begin` accepts in two items, proposes in all, and saves; `go on` loads, accepts in all, and goes from item to item.
Each writes what it found as `<PART>.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[2] / "SAMUNetSlicer")]

import scenery  # noqa: E402
from sequence_scenery import ITEMS, PLANE, BeatingDesk  # noqa: E402

from mrml_host import the_host  # noqa: E402
from SAMUNetSlicerLib.scene.logic import SegmentationLogic  # noqa: E402
from SAMUNetSlicerLib.scene.nodes.labelmaps import read_mask  # noqa: E402
from SAMUNetSlicerLib.scene.nodes.placement import local_geometry  # noqa: E402
from SAMUNetSlicerLib.scene.nodes.segmentation_nodes import segment_ids, segment_name  # noqa: E402


def state_of(node, volume, browser, space) -> dict:
    """What the user sees in each item, going through them with the browser."""
    found = []
    for item in range(ITEMS):
        browser.SetSelectedItemNumber(item)
        space.check()
        found.append(
            {segment_name(node, i): int(read_mask(node, i, local_geometry(volume)).sum()) for i in segment_ids(node)}
        )
    return {"items": found, "record": json.loads(space.document.to_json())["planes"]}


def main(part: str, folder: Path) -> None:
    host = the_host()
    scene = host.scene
    if part == "begin":
        desk = BeatingDesk(host, segments=("Liver", "Spleen"))
        for item in (1, 3):
            desk.go(item)
            desk.propose(PLANE, at=(12, 12 + item))
            desk.accept(planes=[PLANE])
        desk.go(2)
        desk.propose(PLANE - 1)
        list(desk.logic.propagateInTime(desk.segmentation, desk.ids[0], PLANE - 1, orientation="axial"))
        found = state_of(desk.segmentation, desk.volume, desk.browser, desk.space)
        desk.go(4)
        desk.logic.saveScene(folder / "work.mrb")
    else:
        scenery.sequences_logic(host)
        if not scene.ReadFromMRB(str(folder / "work.mrb")):
            raise OSError("the saved scene does not load")
        logic = SegmentationLogic(scene)
        logic.setPredictor(scenery.predictor(), scenery.MODEL)
        (work,) = logic.restore(lambda model: model == scenery.MODEL)
        space = work.workspace
        node, volume = space.segmentation_node, space.volume_node
        browser = space.items.results.browser
        found = {"notes": work.notes, "shown": browser.GetSelectedItemNumber()}
        found |= state_of(node, volume, browser, space)
        accepted = logic.acceptInTime(node, segment_ids(node)[0], orientation="axial")
        found["accepted"] = accepted.items
        found["after"] = state_of(node, volume, browser, space)["items"]
    (folder / f"{part}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
