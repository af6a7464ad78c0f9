"""One step with a network so small that its loss and its gradients can be told beforehand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from learning_examples import example_look
from lightning_fabric import Fabric

from SAMUNetSlicerLib.learning.data.crops import object_mask
from SAMUNetSlicerLib.learning.losses import LossWeights, PromptLoss
from SAMUNetSlicerLib.learning.prompts import coarse
from SAMUNetSlicerLib.learning.settings import Draw, ForwardPrecision, TrainingSettings
from SAMUNetSlicerLib.learning.state import Named
from SAMUNetSlicerLib.learning.training import Trainer, draw_objects, train
from SAMUNetSlicerLib.networks.base import Decoded, Embedding


class Bright(torch.nn.Module):
    """What is bright, whatever is asked for. asked: the prompts of each call."""

    spec = SimpleNamespace(mask_prompt_size=128)

    def __init__(self) -> None:
        super().__init__()
        self.contrast = torch.nn.Parameter(torch.tensor([2.0]))
        self.level = torch.nn.Parameter(torch.tensor([-0.5]))
        self.asked = []

    def decode(self, embedding, prompts):
        self.asked.append(prompts)
        return Decoded(embedding.features["map"][prompts.plane_index] + self.level, None)


class Looks:
    """Always the same two looks."""

    def __init__(self) -> None:
        self.looks, self.refreshed = [example_look(seed) for seed in (1, 2)], 0

    def draw(self, count, rng):
        return self.looks[:count]

    def embed(self, network, examples, device):
        images = torch.tensor(np.stack([look.image[:1, ::2, ::2] for look in examples])).float() / 255
        return Embedding({"map": images * network.contrast, "unused": images * network.contrast})

    def refresh(self):
        self.refreshed += 1


def build_trainer(**settings):
    own = {"images": 2, "objects": 2, "precision": ForwardPrecision.FLOAT32, "warm_up": 0, "steps": 1, "clip": 0.0}
    given = TrainingSettings(**(own | settings))
    return Trainer(Bright(), Looks(), given, Fabric(accelerator="cpu", devices=1))


def gradients_of(trainer) -> dict[str, torch.Tensor]:
    """Of the step that is taken, as the optimizer gets them."""
    seen = {}
    trainer.optimizer.step = lambda: seen.update({n: p.grad.clone() for n, p in trainer.named.parameters.items()})
    trainer.report = next(trainer.run())
    return seen


def expected(looks) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The mean loss of all objects of all looks, and its gradients."""
    network = Bright()
    logits, truth = [], []
    for look in looks:
        for members in look.objects:
            logits.append(torch.tensor(look.image[:1, ::2, ::2]) / 255 * network.contrast + network.level)
            truth.append(torch.tensor(coarse(object_mask(look.parts, members)))[None])
    loss = PromptLoss(LossWeights())(Decoded(torch.stack(logits), None), torch.stack(truth)).mean()
    loss.backward()
    return loss, {name: p.grad for name, p in network.named_parameters()}


@pytest.mark.parametrize(("rounds", "parts"), [((1.0,), 1), ((0.0, 1.0), 1), ((0.0, 0.0, 1.0), 1), ((1.0,), 3)])
def test_a_step_is_the_mean_over_looks_objects_rounds_and_parts(rounds, parts):
    trainer = build_trainer(rounds=rounds, accumulation=parts)
    gradients = gradients_of(trainer)
    loss, exact = expected(trainer.examples.looks)
    assert trainer.report.loss == pytest.approx(loss.item(), rel=1e-4)
    assert gradients.keys() == exact.keys()
    torch.testing.assert_close(gradients, exact, rtol=1e-3, atol=1e-6)


def test_corrections_bring_the_answer_for_the_same_look_back():
    trainer = build_trainer(rounds=(0.0, 1.0))
    gradients_of(trainer)
    looks, compared = trainer.examples.looks, 0
    for prompts in trainer.network.asked:
        if prompts.mask_logits is not None and prompts.points_xy is not None:  # no first prompt has both
            for plane, mask in zip(prompts.plane_index, prompts.mask_logits, strict=True):
                answer = torch.tensor(looks[plane].image[:1, ::2, ::2]) / 255 * 2.0 - 0.5
                torch.testing.assert_close(mask, answer)
                compared += 1
    assert compared == 4


def test_the_report_tells_the_dice_of_the_first_and_the_last_round():
    trainer = build_trainer(rounds=(0.0, 0.0, 1.0), objects=1)
    answer, dices = trainer._answer, iter([0.25, 0.5, 0.75])
    trainer._answer = lambda *given: (*answer(*given)[:2], next(dices))
    report = next(trainer.run())
    assert (report.first_dice, report.last_dice) == (0.25, 0.75)


def test_the_dice_reported_is_that_of_the_answers():
    trainer = build_trainer(rounds=(1.0,))
    dices = []
    for look in trainer.examples.looks:
        answer = look.image[0, ::2, ::2] / 255 * 2.0 > 0.5
        truths = (coarse(object_mask(look.parts, members)) > 0.5 for members in look.objects)
        dices += [2 * (answer & truth).sum() / (answer.sum() + truth.sum()) for truth in truths]
    assert next(trainer.run()).first_dice == pytest.approx(np.mean(dices), rel=1e-4)


def test_gradients_are_shared_and_averaged_by_processes():
    trainer = build_trainer()
    _, exact = expected(trainer.examples.looks)
    asked = []

    def all_reduce(flat, reduce_op):
        asked.append(reduce_op)
        return flat / 2  # the other process's are 0

    trainer.fabric = SimpleNamespace(global_rank=0, world_size=2, all_reduce=all_reduce)
    gradients = gradients_of(trainer)
    assert asked == ["mean"]
    torch.testing.assert_close(gradients, {n: g / 2 for n, g in exact.items()}, rtol=1e-3, atol=1e-6)


def test_a_parameter_that_no_process_has_touched_gets_no_gradient_as_in_a_single_one():
    """Zeros would let it decay."""
    trainer = build_trainer()
    ours, theirs, nobodys = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    trainer.named = Named({"ours": ours, "theirs": theirs, "nobodys": nobodys}, {})

    def share(all_reduce):
        trainer.fabric = SimpleNamespace(world_size=2, all_reduce=all_reduce)
        trainer._share_gradients()

    sent = []
    theirs.grad = torch.ones(2)
    share(lambda flat, reduce_op: sent.append(flat) or flat)
    theirs.grad, ours.grad = None, torch.ones(2)
    share(lambda flat, reduce_op: (flat + sent[0]) / 2)
    assert nobodys.grad is None
    for parameter in (ours, theirs):
        torch.testing.assert_close(parameter.grad, torch.tensor([0.5, 0.5]))


def test_each_process_and_each_step_draw_numbers_of_their_own():
    drawn, rounds = [], []
    for rank in range(2):
        trainer = build_trainer(steps=8, rounds=(0.5, 0.5))
        trainer._learn = lambda rng, number: drawn.append(rng.random()) or rounds.append(number) or (0.0, [0.0])
        trainer.fabric = SimpleNamespace(global_rank=rank, world_size=2, all_reduce=lambda flat, reduce_op: flat)
        list(trainer.run())
    assert len(set(drawn)) == 16
    assert rounds[:8] == rounds[8:], "as many rounds in both"
    assert set(rounds) == {1, 2}


def test_the_number_of_rounds_does_not_follow_from_the_looks_drawn():
    trainer = build_trainer(steps=32, rounds=(0.5, 0.5))
    alike = []
    trainer._learn = lambda rng, rounds: alike.append((rng.random() < 0.5) == (rounds == 1)) or (0.0, [0.0])
    list(trainer.run())
    assert 8 < sum(alike) < 24


@pytest.mark.parametrize(("clip", "least", "most"), [(1e-3, 0.9e-3, 1.1e-3), (0.0, 0.01, 10)])
def test_long_gradients_are_clipped(clip, least, most):
    length = torch.stack([g.norm() for g in gradients_of(build_trainer(clip=clip)).values()]).norm()
    assert least < length < most


def test_a_step_moves_by_its_rate_and_forgets_its_gradients():
    trainer = build_trainer(steps=4, warm_up=4, cool_down=0.0, rate=0.01, weight_decay=0.0)
    before = trainer.network.contrast.item()
    report = next(trainer.run())
    assert report.rate == 0.25
    assert abs(trainer.network.contrast.item() - before) == pytest.approx(0.25 * 0.01, rel=1e-3)  # Adam's first step
    assert trainer.network.contrast.grad is None


def test_a_young_average_forgets_faster():
    trainer = build_trainer(steps=1, rate=0.1)
    before = trainer.network.contrast.item()
    list(trainer.run())
    after = trainer.network.contrast.item()
    young = (2 * before + 9 * after) / 11
    assert trainer.average.values["contrast"].item() == pytest.approx(young)
    trainer.average.update(trainer.named, step=10**6)
    assert trainer.average.values["contrast"].item() == pytest.approx(0.99 * young + 0.01 * after)


def test_objects_are_drawn_again_only_where_there_are_too_few_or_it_is_wished():
    looks, rng = Looks().looks, np.random.default_rng(0)
    firsts = set()
    for _ in range(12):
        masks, planes = draw_objects(looks, 3, Draw.DISTINCT, rng)
        assert planes == [0, 0, 0, 1, 1, 1]
        assert (masks[0] != masks[1]).any()
        np.testing.assert_array_equal(masks[0], masks[2])
        firsts.add(masks[0].tobytes())
    assert len(firsts) == 2
    replaced = [draw_objects(looks, 2, Draw.REPLACED, rng)[0] for _ in range(12)]
    assert 0 < sum((a == b).all() for a, b, *_ in replaced) < 12


def test_a_growing_bank_is_looked_at_every_ten_steps(tmp_path):
    trainer = build_trainer(steps=25, rounds=(1.0,))
    train(trainer, tmp_path, None, lambda now: None)
    assert trainer.examples.refreshed == 2
