import pytest
import torch

from SAMUNetSlicerLib.learning.losses import LossWeights, PromptLoss, intersection_over_union
from SAMUNetSlicerLib.networks.base import Decoded


def square(side):
    target = torch.zeros(1, 1, 32, 32)
    target[..., 4 : 4 + side, 4 : 4 + side] = 1
    return target


def answer(mask, sureness=20.0):
    return Decoded((mask * 2 - 1) * sureness, None)


def test_a_perfect_answer_costs_nothing_and_its_opposite_most():
    loss = PromptLoss(LossWeights())
    target = square(12)
    assert loss(answer(target), target).item() < 1e-3
    assert loss(answer(1 - target), target).item() > 10


def test_dice_weighs_small_objects_like_large_ones():
    loss = PromptLoss(LossWeights(cross_entropy=0))
    small, large = (loss(answer(square(s // 2)), square(s)).item() for s in (8, 24))
    assert small == pytest.approx(large, abs=0.05)


def test_each_prompt_has_its_own_loss():
    loss = PromptLoss(LossWeights())
    target = torch.cat([square(8), square(16)])
    wrong = torch.cat([square(8), 1 - square(16)])
    first, second = loss(answer(wrong), target).tolist()
    assert first < 1e-3 < second


def test_the_quality_head_is_drawn_to_the_true_overlap():
    loss = PromptLoss(LossWeights(dice=0, cross_entropy=0))
    target = square(16)
    logits = answer(square(8)).logits  # a quarter of the object
    costs = [loss(Decoded(logits, torch.tensor([[q]])), target).item() for q in (0.0, 0.25, 1.0)]
    assert costs[1] == pytest.approx(0, abs=1e-6)
    assert costs[0] > 0.01 < costs[2]


def test_overlap_of_two_empty_masks_is_perfect():
    empty = torch.zeros(1, 1, 4, 4)
    assert intersection_over_union(empty - 1, empty).item() == 1
