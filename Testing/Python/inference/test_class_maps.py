"""Networks without prompts give every pixel of every plane a class."""

import numpy as np
import pytest
import torch

from SAMUNetSlicerLib.errors import MemoryShortageError, UserError
from SAMUNetSlicerLib.inference.class_maps import classify_planes, stacks
from SAMUNetSlicerLib.inference.notes import ON_THE_PROCESSOR
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
from SAMUNetSlicerLib.networks.registry import build


class Thresholds(PromptedNetwork):
    """Calls dark pixels background, grey ones class 1 and bright ones class 2; remembers the stacks' brightness."""

    def __init__(self, stack=1):
        super().__init__()
        preprocessing = Preprocessing(32, Resize.BICUBIC_SQUASH, Normalisation.UNIT)
        self.spec = NetworkSpec("thresholds", preprocessing, 8, PromptKind.NONE, "", classes=2, stack=stack)
        self.seen = []

    def encode(self, images):
        self.seen.append([round(float(image.max()) * 255) for image in images])
        return Embedding({"image": images[:, :1]})

    def decode(self, embedding, prompts):
        grey = embedding.features["image"][prompts.planes(torch.device("cpu"))]
        return Decoded(20 * torch.cat([0.25 - grey, 0.25 - (grey - 0.5).abs(), grey - 0.75], dim=1), None)


def plane(value):
    picture = np.zeros((20, 30, 3), dtype=np.uint8)
    picture[5:15, 5:25] = value
    return picture


def test_every_pixel_gets_its_class_at_the_planes_own_size():
    bright, dark = classify_planes(Thresholds(), [plane(250), plane(0)])
    assert bright.classes_yx.shape == (20, 30)
    assert bright.classes_yx.dtype == np.uint8
    assert (bright.classes_yx[7:13, 8:22] == 2).all()
    assert (bright.classes_yx[:3] == 0).all()
    assert 0.5 < bright.confidence <= 1
    assert dark.classes_yx.max() == 0
    assert dark.confidence == 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 9])
def test_every_plane_comes_once_and_in_order(count):
    network = Thresholds(stack=3)
    results = list(classify_planes(network, [plane(100 + i) for i in range(count)]))
    assert [result.index for result in results] == list(range(count))
    assert all(len(stack) == 3 for stack in network.seen)


def test_stacks_hold_consecutive_planes_and_are_whole():
    assert stacks(7, 3) == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]
    assert stacks(2, 3) == [[0, 1, 1]]
    assert stacks(4, 1) == [[0], [1], [2], [3]]
    assert stacks(0, 3) == []


def test_work_is_done_as_results_are_asked_for():
    network = Thresholds(stack=2)
    results = classify_planes(network, [plane(100)] * 6)
    next(results)
    assert len(network.seen) == 1
    results.close()
    assert len(network.seen) == 1


@pytest.mark.parametrize("family", ["samed", "ma_sam"])
def test_the_published_networks_fit(family):
    torch.manual_seed(0)
    network = build(family, "cpu", input_size=64)
    results = list(classify_planes(network, [plane(40 * i) for i in range(6)]))
    assert len(results) == 6
    assert max(result.classes_yx.max() for result in results) <= network.spec.classes


CARD = torch.device("meta")  # stands in for a graphics card
SHORTAGE = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class Tight(Thresholds):
    """Raises `error` wherever it encodes on the card, and the first `failures` times elsewhere."""

    def __init__(self, error=SHORTAGE, failures=0):
        super().__init__()
        self.error, self.failures = error, failures

    def encode(self, images):
        self.failures -= images.device != CARD
        if images.device == CARD or self.failures >= 0:
            raise self.error
        return super().encode(images)


class TooLarge(Thresholds):
    """Its weights alone are too large for the card."""

    def to(self, device):
        if device == CARD:
            raise SHORTAGE
        return super().to(device)


@pytest.mark.parametrize("network", [Tight, TooLarge])
def test_a_shortage_on_the_card_is_told_and_survived_on_the_processor(network):
    told, planes = [], [plane(100 + i) for i in range(3)]
    found = list(classify_planes(network(), planes, CARD, told.append))
    assert told == [ON_THE_PROCESSOR]
    for ours, expected in zip(found, classify_planes(Thresholds(), planes), strict=True):
        np.testing.assert_array_equal(ours.classes_yx, expected.classes_yx)


def test_a_shortage_on_the_processor_is_survived_once_and_then_told():
    assert len(list(classify_planes(Tight(failures=1), [plane(100)]))) == 1
    with pytest.raises(MemoryShortageError, match="not enough memory"):
        list(classify_planes(Tight(MemoryError(), failures=9), [plane(100)]))


def test_what_is_no_shortage_stays_what_it_is():
    with pytest.raises(UserError, match="card has failed"):
        list(classify_planes(Tight(RuntimeError("CUDA error: unspecified launch failure")), [plane(100)], CARD))
    with pytest.raises(RuntimeError, match="shapes"):
        list(classify_planes(Tight(RuntimeError("shapes cannot be multiplied"), failures=1), [plane(100)]))


def test_a_network_that_needs_prompts_is_refused():
    with pytest.raises(ValueError, match="needs prompts"):
        next(classify_planes(build("sam_unet_tiny"), [plane(1)]))
