"""What each part of sam_unet_tiny is worth: short trainings of equal length and seed, one part off in each.

PYTHONPATH=SAMUNetSlicer python Testing/Benchmarks/ablation.py --bank bank/train --development-bank bank/held \
    --whole-bank bank/held_whole --steps 100 --output ablation.md

Banks come from `samunet data bank`; the whole-picture bank from `--split development --zoom 1000`. One process; each
training starts from LiteMedSAM, so a short budget shows what helps early, not where long trainings end.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm import tqdm

from SAMUNetSlicerLib.learning.data.bank import Bank, Entry
from SAMUNetSlicerLib.learning.data.examples import BankExamples
from SAMUNetSlicerLib.learning.data.synthetic import SOURCE
from SAMUNetSlicerLib.learning.development import measure
from SAMUNetSlicerLib.learning.settings import read_settings
from SAMUNetSlicerLib.learning.start import start_network
from SAMUNetSlicerLib.learning.state import averaged
from SAMUNetSlicerLib.learning.training import Trainer
from SAMUNetSlicerLib.networks.sam_unet_tiny import SamUnetTiny

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "SAMUNetSlicer" / "Resources" / "Weights" / "lite_medsam.safetensors"
FIGURES = ("box", "jittered", "box+2", "point", "point+2")
_ELLIPSE_MAP = 5  # of prompt_maps


class ChosenExamples(BankExamples):
    """Only the looks of some sources."""

    def __init__(self, bank: Bank, is_chosen: Callable[[str], bool]) -> None:
        super().__init__(bank)
        self._own_bank = bank
        self._chosen = [i for i in range(len(bank)) if is_chosen(bank.source(i))]

    def draw(self, count: int, rng: np.random.Generator) -> list[Entry]:
        return [self._own_bank[self._chosen[int(i)]] for i in rng.integers(len(self._chosen), size=count)]


def silence(module: nn.Module) -> None:
    """Whatever the module computes, zeros come out."""
    module.register_forward_hook(lambda _module, _inputs, output: torch.zeros_like(output))


def without_conv_branch(network: SamUnetTiny) -> None:
    """The U-Net beside the encoder sees the frozen features alone, not the picture."""
    silence(network.image_fusion.stem)


def without_fusion(network: SamUnetTiny) -> None:
    """SAM's own mask, trained further, without the U-Net that corrects it."""
    silence(network.mask_decoder.correction_weights)
    silence(network.mask_decoder.plain_correction)


def without_ellipse(network: SamUnetTiny) -> None:
    """Boxes are drawn, but not where in them a pixel lies."""

    def empty(_module: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        drawn = inputs[0].clone()
        drawn[:, _ELLIPSE_MAP] = 0
        return (drawn,)

    network.mask_decoder.from_prompts.register_forward_pre_hook(empty)


CHANGES: dict[str, Callable[[SamUnetTiny], None]] = {
    "all": lambda network: None,
    "conv branch off": without_conv_branch,
    "fusion off": without_fusion,
    "ellipse map off": without_ellipse,
    "synthetic pictures off": lambda network: None,
    "real pictures off": lambda network: None,
}
SOURCES: dict[str, Callable[[str], bool]] = {
    "synthetic pictures off": lambda source: source != SOURCE,
    "real pictures off": lambda source: source == SOURCE,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--development-bank", type=Path, required=True)
    parser.add_argument("--whole-bank", type=Path, help="held-back pictures without zoom")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="NAME")
    parser.add_argument("--output", type=Path, required=True, help="Markdown file; rows are added")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = replace(read_settings("sam_unet_tiny"), steps=options.steps, warm_up=min(15, options.steps))
    fabric = Fabric(accelerator="cpu", devices=1)
    bank, held = Bank(options.bank), Bank(options.development_bank)
    if not options.output.exists():
        options.output.write_text(f"| {settings.steps} steps | {' | '.join(FIGURES)} |\n|{' --- |' * 6}\n")
    for name in options.only:
        torch.manual_seed(settings.seed)
        network = start_network("sam_unet_tiny", START)
        CHANGES[name](network)
        examples = ChosenExamples(bank, SOURCES.get(name, lambda source: True))
        trainer = Trainer(network, examples, settings, fabric)
        for _ in tqdm(trainer.run(), total=settings.steps, desc=name, disable=None):
            pass
        with averaged(trainer.named, trainer.average):
            add_row(options.output, name, measure(network, held))
            if name == "all" and options.whole_bank is not None:
                add_row(options.output, "zoom off (in use)", measure(network, Bank(options.whole_bank)))


def add_row(path: Path, name: str, figures: dict[str, float]) -> None:
    with path.open("a") as file:
        file.write(f"| {name} | {' | '.join(f'{figures[key]:.3f}' for key in FIGURES)} |\n")


if __name__ == "__main__":
    main()
