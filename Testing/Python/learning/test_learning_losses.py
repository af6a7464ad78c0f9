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


def test_a_cost_is_the_weighted_sum_of_its_terms():
    parts = [dict.fromkeys(TERMS, 0.0) | {name: 1.0} for name in TERMS]
    target = torch.cat([square(8), square(16)])
    decoded = Decoded(torch.cat([square(10), square(9)]) * 3 - 1, torch.tensor([[0.1], [0.8]]))
    singles = [PromptLoss(LossWeights(**part))(decoded, target) for part in parts]
    assert all(first != second for first, second in map(torch.Tensor.tolist, singles))
    weighted = PromptLoss(LossWeights(**dict(zip(TERMS, (2.0, 3.0, 4.0, 5.0), strict=True))))(decoded, target)
    torch.testing.assert_close(weighted, sum(w * s for w, s in zip((2, 3, 4, 5), singles, strict=True)))


TERMS = ("dice", "cross_entropy", "focal", "quality")


def test_the_focal_loss_is_the_published_one_of_each_mask():
    """alpha .25 for the object, gamma 2: arXiv 1708.02002."""
    target = torch.cat([square(32), square(0)])[..., 4:, 4:]
    logits = torch.tensor([1.0, -2.0]).reshape(2, 1, 1, 1).expand(target.shape)
    loss = PromptLoss(LossWeights(dice=0, cross_entropy=0, focal=1))(Decoded(logits, None), target)
    right = torch.sigmoid(torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(loss, torch.tensor([0.25, 0.75]) * (1 - right) ** 2 * -right.log())


def test_the_judge_errs_by_the_square():
    target = square(16)
    cost = PromptLoss(LossWeights(dice=0, cross_entropy=0))(Decoded(target - 0.5, torch.tensor([[0.75]])), target)
    assert cost.item() == pytest.approx(0.0625)


def test_pixels_of_which_the_object_covers_less_than_half_are_not_its_own():
    assert intersection_over_union(torch.ones(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.4)).item() == 0
