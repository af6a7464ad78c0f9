from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes import BrightRegionNetwork
from SAMUNetSlicerLib.errors import PromptError
from SAMUNetSlicerLib.inference.encoding.encoders import Precision, TorchEncoder
from SAMUNetSlicerLib.inference.predictor import OUTSIDE_LOGIT, PlaneImage, PlanePredictor, PlaneRequest
from SAMUNetSlicerLib.inference.prompts import PlanePrompts, Sign
from SAMUNetSlicerLib.inference.zoom import ZoomMode, ZoomPolicy
from SAMUNetSlicerLib.networks.base import Decoded, PromptKind

POSITIVE, NEGATIVE = (Sign.POSITIVE,), (Sign.NEGATIVE,)


@pytest.fixture
def network():
    return BrightRegionNetwork()


@pytest.fixture
def predictor(network):
    return PlanePredictor(network)


@pytest.fixture
def two_squares():
    """A dark plane with a square of 20 pixels at (40, 50) and one of 30 at (150, 120)."""
    rgb = np.zeros((200, 240, 3), dtype=np.uint8)
    rgb[50:70, 40:60] = 255
    rgb[120:150, 150:180] = 255
    return PlaneImage(rgb, "two squares")


def truth(image, rows, columns):
    mask = np.zeros(image.size_hw, dtype=bool)
    mask[rows, columns] = True
    return mask


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_box_finds_its_object_and_not_the_other(predictor, two_squares):
    answer = predictor.predict(two_squares, PlanePrompts(box_xyxy=(38, 48, 62, 72)))
    assert overlap(answer.mask, truth(two_squares, slice(50, 70), slice(40, 60))) > 0.97
    assert answer.quality == pytest.approx(0.9)


def test_a_small_object_is_looked_at_from_close_by(predictor, two_squares):
    answer = predictor.predict(two_squares, PlanePrompts(box_xyxy=(40, 50, 60, 70)))
    assert max(answer.crop.size_hw) <= 64
    assert (answer.logits[150:, 200:] == OUTSIDE_LOGIT).all()


def test_a_point_finds_the_extent_first_and_then_looks_closer(network, predictor, two_squares):
    answer = predictor.predict(two_squares, PlanePrompts(((50, 60),), POSITIVE))
    assert network.encoded == 3, "the whole plane, its half around the point, what was found"
    assert max(answer.crop.size_hw) <= 64
    assert overlap(answer.mask, truth(two_squares, slice(50, 70), slice(40, 60))) > 0.97


class PickyNetwork(BrightRegionNetwork):
    """Judges its answers by how much of the input they take: best at `ideal`."""

    ideal = 0.0

    def decode(self, embedding, prompts):
        decoded = super().decode(embedding, prompts)
        share = (decoded.logits > 0).float().mean(dim=(2, 3))
        return Decoded(decoded.logits, 0.9 - 3 * (share - self.ideal).abs())


@pytest.mark.parametrize(("ideal", "side"), [(0.0, 240), (20 * 20 / 120 / 120, 120), (0.13, 54)])
def test_of_several_looks_at_a_point_the_one_of_the_best_quality_counts(two_squares, ideal, side):
    network = PickyNetwork()
    network.ideal = ideal
    answer = PlanePredictor(network).predict(two_squares, PlanePrompts(((50, 60),), POSITIVE))
    assert max(answer.crop.size_hw) == side


def test_an_object_too_small_for_the_whole_plane_is_found_at_half_of_it(two_squares):
    class ShortSighted(BrightRegionNetwork):
        def decode(self, embedding, prompts):
            decoded = super().decode(embedding, prompts)
            small = (decoded.logits > 0).float().mean(dim=(2, 3), keepdim=True) < 0.015
            return Decoded(torch.where(small, -9.0, decoded.logits), decoded.quality)

    answer = PlanePredictor(ShortSighted()).predict(two_squares, PlanePrompts(((50, 60),), POSITIVE))
    assert max(answer.crop.size_hw) == 120
    assert overlap(answer.mask, truth(two_squares, slice(50, 70), slice(40, 60))) > 0.9


def test_a_corrective_click_costs_no_new_encoding(network, predictor, two_squares):
    box = (38, 48, 62, 72)
    first = predictor.predict(two_squares, PlanePrompts(box_xyxy=box))
    encoded = network.encoded
    again = predictor.predict(two_squares, PlanePrompts(((50, 60),), POSITIVE, box), first.crop)
    assert network.encoded == encoded
    assert again.crop == first.crop


def test_another_plane_or_another_window_is_encoded_anew(network, predictor, two_squares):
    prompts = PlanePrompts(box_xyxy=(38, 48, 62, 72))
    predictor.predict(two_squares, prompts)
    predictor.predict(PlaneImage(two_squares.rgb, "another window"), prompts)
    assert network.encoded == 2


def test_many_prompts_of_a_plane_give_what_each_gives_alone(network, two_squares):
    predictor = PlanePredictor(network, zoom=ZoomPolicy(ZoomMode.WHOLE_PLANE))
    prompts = [
        PlanePrompts(box_xyxy=(30, 40, 70, 80)),
        PlanePrompts(((160, 130),), POSITIVE),
        PlanePrompts(box_xyxy=(140, 110, 190, 160)),
    ]
    together = predictor.predict_many([PlaneRequest(two_squares, p) for p in prompts])
    assert network.encoded == 1
    for answer, prompt in zip(together, prompts, strict=True):
        alone = predictor.predict(two_squares, prompt)
        np.testing.assert_array_equal(answer.logits, alone.logits)


def test_boxes_only_models_tell_the_user_what_was_left_out(two_squares):
    predictor = PlanePredictor(BrightRegionNetwork(PromptKind.BOX))
    answer = predictor.predict(two_squares, PlanePrompts(((50, 60),), POSITIVE, (38, 48, 62, 72)))
    assert any("points" in note for note in answer.notes)


@pytest.mark.parametrize(
    "prompts",
    [
        PlanePrompts(((500, 60),), POSITIVE),
        PlanePrompts(((10, -3),), POSITIVE),
        PlanePrompts(box_xyxy=(240, 10, 260, 30)),
        PlanePrompts(box_xyxy=(-50, 10, 0, 30)),
    ],
)
def test_prompts_outside_the_plane_are_refused(predictor, two_squares, prompts):
    with pytest.raises(PromptError, match="outside the image"):
        predictor.predict(two_squares, prompts)


def test_a_mask_of_another_size_is_refused(predictor, two_squares):
    with pytest.raises(ValueError, match="plane's size"):
        predictor.predict(two_squares, PlanePrompts(mask=np.ones((10, 10), dtype=bool)))


def test_a_mask_prompt_alone_is_answered_near_the_mask(predictor, two_squares):
    mask = truth(two_squares, slice(125, 145), slice(155, 175))
    answer = predictor.predict(two_squares, PlanePrompts(mask=mask))
    assert answer.mask[135, 165]
    assert not answer.mask[60, 50]


@pytest.mark.parametrize(("takes_half", "given"), [(True, torch.bfloat16), (False, torch.float32)])
def test_only_networks_that_take_it_are_given_half_precision(network, two_squares, takes_half, given):
    network.spec = replace(network.spec, takes_half=takes_half)
    seen = []
    decode = network.decode
    network.decode = lambda embedding, prompts: (
        seen.append(embedding.features["grey"].dtype) or decode(embedding, prompts)
    )
    in_half = PlanePredictor(network, encode_planes=TorchEncoder(network, Precision.HALF))
    in_half.predict(two_squares, PlanePrompts(box_xyxy=(38, 48, 62, 72)))
    kept_in_half = PlanePredictor(network, encode_planes=TorchEncoder(network, keeps_compact=True))
    kept_in_half.predict(two_squares, PlanePrompts(box_xyxy=(38, 48, 62, 72)))
    assert seen == [given, torch.float32]


def test_between_the_parts_of_a_decode_torch_is_as_it_was(network, two_squares):
    """Whatever the host does then, a training for instance, must not be drawn into it."""
    inside = []

    def in_parts(embedding, prompts):
        for _ in range(3):
            inside.append(torch.is_inference_mode_enabled())
            yield
        return network.decode(embedding, prompts)

    network.decode_steps = in_parts
    job = PlanePredictor(network).begin_predict(two_squares, PlanePrompts(box_xyxy=(38, 48, 62, 72)))
    threads, polls = torch.get_num_threads(), 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("SAMUNetSlicerLib.inference.jobs.TURN_S", 0)
        while not job.poll():
            polls += len(inside) > 0
            assert not torch.is_inference_mode_enabled()
            assert torch.get_num_threads() == threads
    assert inside == [True] * 3
    assert polls >= 3
    assert job.result().mask.any()
