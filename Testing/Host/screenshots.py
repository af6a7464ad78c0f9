"""Makes Resources/Screenshots: the module at work on a real CT, and a short film of a propagation.

python Testing/Host/screenshots.py

The pictures show the test host, not 3D Slicer; the model is the default one.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "Resources" / "Screenshots"
_FRAME_MS = 450
_FILMED = (5, 15)  # planes
_FILM_WIDTH_PX = 820
# Corners of a box around the liver on the plane that the pictures begin with: (k, j, i) of the example volume.
_PLANE = 10
_LIVER = ((_PLANE, 97, 52), (_PLANE, 188, 135))
_SPLEEN = ((_PLANE, 122, 146), (_PLANE, 189, 196))


def main() -> None:
    sys.path[:0] = [str(ROOT / folder) for folder in ("SAMUNetSlicer", "Testing/Host", "Testing/Python", "Testing")]
    from slicer_host.start import OpenModule, start

    app = start()
    from mrml_host import the_host
    from panel_user import PanelUser
    from phantoms import to_ras
    from SAMUNetSlicerLib.widgets.sample_data import example_file

    volume = the_host().load_volume(example_file())
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(400, 40)
    user = PanelUser(app, OpenModule(ROOT / "SAMUNetSlicer", "SAMUNetSlicer"), FOLDER)

    def at(kji):
        return to_ras(volume, kji)

    for view in app.views.values():
        view.show_volume(volume)
        view.node.JumpSliceByOffsetting(*at((_PLANE, 140, 95)))
    user.press("addSegmentButton")
    _name(user, "liver", (0.87, 0.51, 0.4))
    _draw_box(user, at, _LIVER)
    user.picture("liver_preview")
    user.key("Return")
    _film_propagation(user)
    user.press("acceptAllButton")
    user.press("addSegmentButton")
    _name(user, "spleen", (0.62, 0.42, 0.64))
    user.view("Red").node.JumpSliceByOffsetting(*at((_PLANE, 140, 95)))
    user.settle()
    _draw_box(user, at, _SPLEEN)
    user.picture("module")


def _name(user, name: str, colour) -> None:
    segment = user.session.node.GetSegmentation().GetSegment(user.session.segment_id)
    segment.SetName(name)
    segment.SetColor(*colour)
    user.settle()


def _draw_box(user, at, corners) -> None:
    user.key("D")
    for corner in corners:
        user.click("Red", at(corner))


def _film_propagation(user) -> None:
    from PIL import Image

    frames = []

    def shoot() -> None:
        work = user.panel.work
        index = work.run.last.index if work.run is not None and work.run.last is not None else None
        if index is not None:
            user.view("Red").node.JumpSliceByOffsetting(*user.session.centre_ras(index))
        picture = user.picture("frame").toImage()
        buffer = Image.frombytes("RGBA", (picture.width(), picture.height()), bytes(picture.constBits()), "raw", "BGRA")
        height = round(buffer.height * _FILM_WIDTH_PX / buffer.width)
        frames.append(buffer.convert("RGB").resize((_FILM_WIDTH_PX, height), Image.LANCZOS))

    user.ui.rangeCheckBox.checked = True
    user.ui.firstPlaneSpinBox.value, user.ui.lastPlaneSpinBox.value = _FILMED
    user.panel.work.listeners.append(shoot)
    user.press("propagateButton")
    user.wait_while_busy(300)
    user.panel.work.listeners.remove(shoot)
    (FOLDER / "frame.png").unlink()
    shared = frames[len(frames) // 2].quantize(96)
    coded = [frame.quantize(palette=shared, dither=Image.Dither.NONE) for frame in frames]
    coded[0].save(
        FOLDER / "propagation.gif", save_all=True, append_images=coded[1:], duration=_FRAME_MS, loop=0, optimize=True
    )


if __name__ == "__main__":
    main()
