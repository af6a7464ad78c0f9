import pytest
import torch

from example_grids import random_geometry, sphere
from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.errors import ModelError
from SAMUNetSlicerLib.inference.prompt_rules import check_answers_prompts
from SAMUNetSlicerLib.networks.base import (
    Decoded,
    Embedding,
    NetworkSpec,
    Normalisation,
    Preprocessing,
    PromptedNetwork,
    PromptKind,
    Resize,
)
from SAMUNetSlicerLib.volumes.jobs.class_job import ClassJob
from SAMUNetSlicerLib.volumes.plane_source import VolumePlanes
from SAMUNetSlicerLib.volumes.planes import Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.windows import Window

CPU = torch.device("cpu")


class GreyLevels(PromptedNetwork):
    """Class 1: mid grey, class 2: bright. Notes how many planes it is given together."""

    def __init__(self, stack: int) -> None:
        super().__init__()
        look = Preprocessing(64, Resize.BILINEAR_SQUASH, Normalisation.UNIT)
        self.spec = NetworkSpec("grey_levels", look, 64, PromptKind.NONE, "grey levels", classes=2, stack=stack)
        self.given: list[int] = []

    def encode(self, images):
        self.given.append(len(images))
        return Embedding({"grey": images[:, :1]})

    def decode(self, embedding, prompts):
        grey = embedding.features["grey"][prompts.planes(CPU)]
        return Decoded(torch.cat([0.3 - grey, -(grey - 0.5).abs() + 0.2, grey - 0.7], dim=1) * 50, None)


@pytest.fixture
def planes():
    geometry = random_geometry(6, shape_kji=(23, 30, 30), spacing=(1, 1, 1.2))
    volume = sphere(geometry, geometry.to_ras((geometry.size_ijk - 1) / 2), 10.0)
    return VolumePlanes(volume, PlaneStack(geometry, Orientation.AXIAL), Window(-8, 8))


@pytest.mark.parametrize("stack", [1, 5])
def test_every_plane_and_class_is_labelled_once(planes, stack):
    job = ClassJob(planes, GreyLevels(stack), CPU)
    steps = list(job.run())
    assert sorted(s.index for s in steps) == list(range(len(planes)))
    assert steps[-1].done == steps[-1].total == len(planes)
    assert set(job.network.given) == {stack}
    bright = planes.volume.voxels > 4.0
    found = job.results["Class_2"].mask_kji
    assert 2 * (bright & found).sum() / (bright.sum() + found.sum()) > 0.8
    assert not (job.results["Class_1"].mask_kji & found).any()


def test_a_volume_thinner_than_the_stack_is_still_labelled(planes):
    flat = PlaneStack(planes.volume.geometry, Orientation.AXIAL)
    job = ClassJob(VolumePlanes(planes.volume, flat, planes.window), GreyLevels(len(flat) + 3), CPU)
    assert len(list(job.run())) == len(flat)


def test_leaving_early_keeps_what_is_labelled(planes):
    job = ClassJob(planes, GreyLevels(5), CPU)
    steps = job.run()
    for _ in range(3):
        next(steps)
    steps.close()
    assert len(job.results["Class_1"].planes) == 3


def test_models_and_prompts_that_do_not_go_together_are_refused():
    with pytest.raises(ModelError, match="Leave points and boxes out"):
        check_answers_prompts(GreyLevels(1).spec)
    stacked = NetworkSpec("deep", GreyLevels(1).spec.preprocessing, 64, PromptKind.POINTS, "", stack=4)
    with pytest.raises(ModelError, match="4 planes together"):
        check_answers_prompts(stacked)
    check_answers_prompts(BrightRegionNetwork().spec)
