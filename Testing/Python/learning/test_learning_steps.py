"""What a step draws, and how its gradients are used."""

import pytest
import torch
from learning_examples import write_bank
from lightning_fabric import Fabric

from SAMUNetSlicerLib.learning.data.bank import Bank
from SAMUNetSlicerLib.learning.data.examples import BankExamples
from SAMUNetSlicerLib.learning.settings import TrainingSettings
from SAMUNetSlicerLib.learning.training import Trainer
from SAMUNetSlicerLib.networks.sam_unet_tiny import SamUnetTiny


@pytest.fixture
def build_trainer(tmp_path):
    write_bank(tmp_path / "bank")

    def build(**settings):
        torch.manual_seed(0)
        examples = BankExamples(Bank(tmp_path / "bank"))
        return Trainer(SamUnetTiny(), examples, TrainingSettings(**settings), Fabric(accelerator="cpu", devices=1))

    return build


def test_the_number_of_rounds_does_not_follow_from_the_looks_drawn(build_trainer):
    trainer = build_trainer(steps=32, rounds=(0.5, 0.5))
    alike = []
    trainer._learn = lambda rng, rounds: alike.append((rng.random() < 0.5) == (rounds == 1)) or (0.0, [0.0])
    list(trainer.run())
    assert 8 < sum(alike) < 24
