"""How long Slicer's window stands still: the longest block of its event loop, through the real panel.

QT_QPA_PLATFORM=offscreen PYTHONPATH=SAMUNetSlicer python Testing/Benchmarks/longest_block.py [MODEL] [--engine torch]

In the test host, with the example CT: a box on the liver (first preview, on a plane that is not encoded), then a
propagation over ten planes. Counted is all that one turn of the event loop does: network, voxels, strip, table.
Beside it stands the time of one plane by the straightforward fp32 forward of the same network, measured in the same
run. The first prompt is not counted: it loads the model.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("SAMUNetSlicer", "Testing/Host", "Testing/Python", "Testing")]
_PLANES = (5, 15)
_BOX = ((97, 52), (188, 135))  # two corners around the liver: (j, i)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("model", nargs="?", default="lite_medsam")
    arguments.add_argument("--engine", choices=["auto", "torch"], default="auto")
    chosen = arguments.parse_args()
    user, at = _open_panel(chosen.model, chosen.engine)
    work = user.panel.work
    _draw_box(user, at, 9)  # warms up
    user.key("Z")
    work.breather.reset()
    _draw_box(user, at, 10)
    preview_s = work.breather.longest_block_s
    user.ui.rangeCheckBox.checked = True
    user.ui.firstPlaneSpinBox.value, user.ui.lastPlaneSpinBox.value = _PLANES
    turns = _Turns(work)
    user.press("propagateButton")
    user.wait_while_busy(600)
    plane_s = _fp32_plane_s(work._predictor.planes)
    encoder = getattr(work._predictor.planes.encode_planes, "signature", "")
    print(f"{chosen.model}, encoded by {encoder}; one fp32 plane: {1e3 * plane_s:.0f} ms")
    propagation_s = work.breather.longest_block_s
    for what, seconds in (("first preview", preview_s), ("propagation", propagation_s)):
        print(f"longest block, {what}: {1e3 * seconds:.0f} ms = {seconds / plane_s:.2f} of one fp32 plane")
    print(f"showing a finished plane (strip, table, views): at most {1e3 * turns.longest_show_s:.0f} ms")


class _Turns:
    """How long the panel's listeners take after each plane."""

    def __init__(self, work) -> None:
        self.longest_show_s = 0.0
        notify = work.notify

        def timed() -> None:
            began = time.perf_counter()
            notify()
            self.longest_show_s = max(self.longest_show_s, time.perf_counter() - began)

        work.notify = timed


def _open_panel(model: str, engine: str):
    from slicer_host.start import OpenModule, start

    app = start()
    from mrml_host import the_host
    from panel_user import PanelUser
    from phantoms import to_ras
    from SAMUNetSlicerLib.checkpoints.loading import load_network
    from SAMUNetSlicerLib.inference.devices import choose_device
    from SAMUNetSlicerLib.inference.encoding.engines import EngineChoice
    from SAMUNetSlicerLib.inference.opening import open_predictor
    from SAMUNetSlicerLib.widgets.controllers.breathing import PatientPredictor
    from SAMUNetSlicerLib.widgets.sample_data import example_file

    volume = the_host().load_volume(example_file())
    user = PanelUser(app, OpenModule(ROOT / "SAMUNetSlicer", "SAMUNetSlicer"), Path())
    predictor = open_predictor(load_network(model), choose_device("cpu"), engine=EngineChoice(engine))
    predictor.encode_planes.prepare_ahead()
    user.panel.work.set_predictor(PatientPredictor(predictor, user.panel.work.breather))
    for view in app.views.values():
        view.show_volume(volume)

    def at(kji):
        return to_ras(volume, kji)

    user.press("addSegmentButton")
    return user, at


def _draw_box(user, at, plane: int) -> None:
    user.view("Red").node.JumpSliceByOffsetting(*at((plane, 140, 95)))
    user.settle()
    user.key("D")
    for corner in _BOX:
        user.click("Red", at((plane, *corner)))


def _fp32_plane_s(predictor) -> float:
    """Encode and decode by the networks' own forward, prepared tensors in, logits out."""
    import torch

    from SAMUNetSlicerLib.networks.base import NetworkPrompts

    network = predictor.network
    side = network.spec.preprocessing.input_size
    picture = torch.rand(1, 3, side, side)
    prompts = NetworkPrompts(boxes_xyxy=torch.tensor([[0.2, 0.2, 0.7, 0.7]]) * side)
    seconds = []
    with torch.inference_mode():
        for _ in range(6):
            began = time.perf_counter()
            network.decode(network.encode(picture), prompts)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
