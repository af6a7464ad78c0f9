"""The figures by which choices are made, of networks whose answers are known."""

import numpy as np
import pytest
import torch
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
    """Of each plane what is bright, with `wrong` of its rows turned over until its answer comes back as a prompt."""

    def __init__(self, wrong: slice) -> None:
        super().__init__()
        self.any = torch.nn.Parameter(torch.zeros(1))
        self.wrong = wrong

    def image_fusion(self, image, stage2, embedding):
        return Embedding({"bright": torch.where(image[:, :1, ::2, ::2] > 0.5, 4.0, -4.0)})

    def decode(self, embedding, prompts):
        logits = embedding.features["bright"][prompts.plane_index].clone()
        if prompts.mask_logits is None:
            logits[:, :, self.wrong] *= -1
        return Decoded(logits, None)


def test_a_network_that_is_right_is_told_so(bank):
    figures = measure(Answers(slice(0)), bank)
    assert list(figures) == ["box", "box+1", "box+2", "jittered", "point", "point+1", "point+2"]
    assert min(figures.values()) > 0.97


def test_sources_count_alike_and_corrections_after_the_prompt(bank):
    figures = measure(Answers(slice(100, 128)), bank)  # 56 rows of the input, of which 56 or none are visible
    whole, cut = (2 * np.array(area) / (2 * np.array(area) + 56 * 256) for area in ([5025, 2821], [7845]))
    assert figures["box"] == pytest.approx((whole.mean() + 1) / 2, abs=0.02)
    assert cut < 0.6, "else it would not matter that what is not visible does not count"
    assert min(figures["box+1"], figures["point+2"]) > 0.97
