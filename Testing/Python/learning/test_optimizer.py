"""Which weights are moved how."""

import pytest

from SAMUNetSlicerLib.learning.settings import Optimizer, TrainingSettings
from SAMUNetSlicerLib.learning.training import build_optimizer
from SAMUNetSlicerLib.networks.sam_unet_tiny import SamUnetTiny


def test_norms_biases_and_tokens_do_not_decay_and_the_attention_to_tokens_does():
    network = SamUnetTiny()
    optimizer = build_optimizer(network, TrainingSettings(rate=3e-3, pretrained_rate=2e-4, weight_decay=0.05))
    treated = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    named = {name: treated[id(p)] for name, p in network.named_parameters() if p.requires_grad}
    assert len(named) == len(treated)
    assert {name: named[name] for name in TREATED} == TREATED


TREATED = {  # rate and decay
    "mask_decoder.transformer.final_attn_token_to_image.q_proj.weight": (2e-4, 0.05),
    "mask_decoder.transformer.final_attn_token_to_image.q_proj.bias": (2e-4, 0),
    "mask_decoder.transformer.norm_final_attn.weight": (2e-4, 0),
    "mask_decoder.mask_tokens.weight": (2e-4, 0),
    "prompt_encoder.not_a_point_embed.weight": (2e-4, 0),
    "image_fusion.from_embedding.0.weight": (3e-3, 0.05),
    "image_fusion.from_embedding.1.weight": (3e-3, 0),
    "mask_decoder.plain_correction.weight": (3e-3, 0.05),
}


@pytest.mark.parametrize(("kind", "betas"), [(Optimizer.ADAM, (0.9, 0.999)), (Optimizer.ADAMW, (0.9, 0.98))])
def test_the_optimizer_is_the_one_named(kind, betas):
    optimizer = build_optimizer(SamUnetTiny(), TrainingSettings(optimizer=kind))
    assert type(optimizer).__name__.lower() == kind
    assert {group["betas"] for group in optimizer.param_groups} == {betas}
