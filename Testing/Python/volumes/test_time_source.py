import numpy as np
import pytest

from example_grids import random_geometry
from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.inference.predictor import PlanePredictor
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, bounding_box_xyxy
from SAMUNetSlicerLib.networks.base import PromptKind
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.propagation.walks import Propagation
from SAMUNetSlicerLib.volumes.sampling import voxels_to_mask
from SAMUNetSlicerLib.volumes.time_source import FramePlanes
from SAMUNetSlicerLib.volumes.volume import Volume
from SAMUNetSlicerLib.volumes.windows import Window

FRAMES = 9
GEOMETRY = random_geometry(4, shape_kji=(20, 60, 60), spacing=(1, 1, 2))


def truth(number: int) -> np.ndarray:
    """A ball that swings to and fro along I."""
    k, j, i = np.indices(GEOMETRY.shape_kji)
    return (i - 28 - 6 * np.sin(number)) ** 2 + (j - 30) ** 2 + 4 * (k - 10) ** 2 <= 12**2


class Sequence:
    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, number: int) -> Volume:
        self.asked.append(number)
        return Volume(truth(number).astype(np.float32), GEOMETRY)


@pytest.fixture
def frames():
    plane = PlaneStack(GEOMETRY, Orientation.AXIAL)
    return FramePlanes(Sequence(), FRAMES, plane[len(plane) // 2], Window(0, 1))


def test_a_mask_follows_its_object_through_time(frames):
    predictor = PlanePredictor(BrightRegionNetwork(PromptKind.BOX))  # its object grows: boxes are widened
    start = voxels_to_mask(truth(0), frames.plane, GEOMETRY)
    answer = predictor.predict(frames.image(0), PlanePrompts(box_xyxy=bounding_box_xyxy(start)))
    steps = [s for s in Propagation(frames, predictor).from_plane(0, answer) if s.answer is not None]
    assert [s.index for s in steps] == list(range(1, FRAMES))
    for step in steps:
        expected = voxels_to_mask(truth(step.index), frames.plane, GEOMETRY)
        assert 2 * (step.answer.mask & expected).sum() / (step.answer.mask.sum() + expected.sum()) > 0.8


def test_frames_are_read_when_needed_and_kept_while_recent(frames):
    first, again = frames.image(3), frames.image(3)
    assert first is again
    assert frames.frame.asked == [3]


def test_equal_frames_share_their_encoding_and_different_ones_do_not(frames):
    assert frames.image(0).key == FramePlanes(Sequence(), FRAMES, frames.plane, frames.window).image(0).key
    assert frames.image(0).key != frames.image(1).key


def test_there_is_nothing_outside_the_sequence(frames):
    for number in (-1, FRAMES):
        with pytest.raises(IndexError, match="frame"):
            frames.image(number)
