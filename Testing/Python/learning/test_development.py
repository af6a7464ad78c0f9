"""The figures by which choices are made, of networks whose answers are known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from learning_examples import disc, fake_encode

from SAMUNetSlicerLib.learning.data.bank import Bank, shard_path, write_shard
from SAMUNetSlicerLib.learning.data.crops import Look
from SAMUNetSlicerLib.learning.development import measure
from SAMUNetSlicerLib.networks.base import Decoded, Embedding


def look(source: str, radius: int, visible: tuple[int, int] = (256, 256)) -> Look:
    """A bright disc."""
    parts = disc(256, 100, 80, radius).astype(np.uint8)
    return Look(np.repeat(parts[None] * 255, 3, axis=0), parts, visible, ((1,),), source, "case")


@pytest.fixture
def bank(tmp_path):
    write_shard(shard_path(tmp_path, 0), [look("a", 40), look("a", 30), look("b", 50, (200, 160))], fake_encode)
    return Bank(tmp_path)


class Answers(torch.nn.Module):
    """What is bright; but of all looks except the first, `wrong` is turned over until the answer comes back as prompt.

    wrong: (128, 128) bool.
    """

    def __init__(self, wrong: torch.Tensor) -> None:
        super().__init__()
        self.any = torch.nn.Parameter(torch.zeros(1))
        self.wrong = wrong

    def image_fusion(self, image, stage2, embedding):
        return Embedding({"bright": torch.where(F.avg_pool2d(image[:, :1], 2) > 0.5, 4.0, -4.0)})

    def decode(self, embedding, prompts):
        logits = embedding.features["bright"][prompts.plane_index].clone()
        if prompts.mask_logits is None:
            turned = self.wrong & (prompts.plane_index > 0)[:, None, None]
            logits[turned[:, None]] *= -1
        return Decoded(logits, None)


def test_a_network_that_is_right_is_told_so(bank):
    figures = measure(Answers(torch.zeros(128, 128, dtype=torch.bool)), bank)
    assert list(figures) == ["box", "box+1", "box+2", "jittered", "point", "point+1", "point+2"]
    assert min(figures.values()) > 0.97


def test_sources_count_alike_what_is_not_visible_does_not_and_corrections_follow_the_prompt(bank):
    wrong = torch.ones(128, 128, dtype=torch.bool)
    wrong[:100, :80] = False  # of the last look nothing else is visible
    figures = measure(Answers(wrong), bank)
    second = 2 * 2821 / (2 * 2821 + 256 * 256 - 200 * 160)
    assert figures["box"] == pytest.approx(((1 + second) / 2 + 1) / 2, abs=0.01)
    assert figures["point"] == pytest.approx(figures["box"])
    assert min(figures["box+1"], figures["point+2"]) > 0.97
