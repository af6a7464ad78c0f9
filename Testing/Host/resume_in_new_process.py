"""Opens a saved scene in a fresh process, as the user does the next morning, and goes on. Prints what there was."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(scene_file: str) -> None:
    root = Path(__file__).parents[2]
    sys.path[:0] = [str(root / folder) for folder in ("SAMUNetSlicer", "Testing/Host", "Testing/Python", "Testing")]
    from slicer_host.start import OpenModule, start

    app = start()
    import slicer

    from fakes import BrightRegionNetwork
    from panel_user import PanelUser
    from SAMUNetSlicerLib.inference.predictor import PlanePredictor

    opened = OpenModule(root / "SAMUNetSlicer", "SAMUNetSlicer")
    user = PanelUser(app, opened, Path(scene_file).parent)
    assert slicer.mrmlScene.ReadFromMRB(scene_file)
    user.settle()
    user.panel.work.set_predictor(PlanePredictor(BrightRegionNetwork()))
    found = {"message": user.message, "statuses": user.statuses(), "voxels": int(user.voxels().sum())}
    user.press("propagateButton")
    user.wait_while_busy()
    user.press("acceptAllButton")
    user.picture("resumed")
    found["after"] = int(user.voxels().sum())
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
