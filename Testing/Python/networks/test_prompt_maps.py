import math

import pytest
import torch

from SAMUNetSlicerLib.networks.base import NetworkPrompts
from SAMUNetSlicerLib.networks.parts.prompt_maps import CHANNELS, draw

CPU = torch.device("cpu")
BOX, POSITIVE, NEGATIVE, MASK, HAS_MASK, ELLIPSE = range(CHANNELS)


def test_a_box_covers_exactly_its_share_of_each_pixel():
    maps = draw(NetworkPrompts(boxes_xyxy=torch.tensor([[8.0, 16.0, 21.0, 40.0]])), 128, 256, CPU)
    assert maps[0, BOX].sum() == (21 - 8) * (40 - 16) / 4
    assert maps[0, BOX, 10, 5] == 1
    assert maps[0, BOX, 10, 10] == 0.5  # columns 20 and 21 of the input: half of them inside
    assert maps[0, [POSITIVE, NEGATIVE, MASK, HAS_MASK]].sum() == 0


def test_the_ellipse_in_the_box_is_where_its_map_is_positive():
    maps = draw(NetworkPrompts(boxes_xyxy=torch.tensor([[40.0, 60.0, 120.0, 100.0]])), 128, 256, CPU)
    inside = maps[0, ELLIPSE] > 0
    assert int(inside.sum()) == pytest.approx(math.pi * 20 * 10, rel=0.03)  # half axes on the map
    rows, columns = torch.nonzero(inside, as_tuple=True)
    assert (int(columns.min()), int(columns.max()), int(rows.min()), int(rows.max())) == (20, 59, 30, 49)
    assert maps[0, ELLIPSE, 39, 39] > 0.9
    assert maps[0, ELLIPSE, 0, 127] == -1


def test_points_peak_where_they_were_placed_in_the_channel_of_their_sign():
    prompts = NetworkPrompts(
        points_xy=torch.tensor([[[100.0, 60.0], [31.0, 200.0], [0.0, 0.0]]]), point_labels=torch.tensor([[1, 0, -1]])
    )
    maps = draw(prompts, 256, 256, CPU)
    assert divmod(int(maps[0, POSITIVE].argmax()), 256) == (60, 100)
    assert divmod(int(maps[0, NEGATIVE].argmax()), 256) == (200, 31)
    assert maps[0, POSITIVE].max() == 1
    assert maps[0, :, 0, 0].sum() < 1e-6, "padding points are not drawn"


def test_points_stay_in_place_when_the_map_is_coarser():
    prompts = NetworkPrompts(points_xy=torch.tensor([[[100.5, 60.5]]]), point_labels=torch.tensor([[1]]))
    peak = int(draw(prompts, 128, 256, CPU)[0, POSITIVE].argmax())
    assert divmod(peak, 128) == (30, 50)


def test_masks_are_drawn_as_probabilities_and_announced():
    logits = torch.full((1, 1, 128, 128), -20.0)
    logits[..., 30:60, 40:50] = 20.0
    maps = draw(NetworkPrompts(mask_logits=logits), 128, 256, CPU)
    torch.testing.assert_close(maps[0, MASK], (logits[0, 0] > 0).float(), atol=1e-6, rtol=0)
    assert (maps[0, HAS_MASK] == 1).all()
