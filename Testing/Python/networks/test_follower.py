"""What a follower does before any training, and that nothing else of the network knows of it."""

import pytest
import torch

from SAMUNetSlicerLib.networks.base import Embedding
from SAMUNetSlicerLib.networks.follower import Follower
from SAMUNetSlicerLib.networks.registry import build
from SAMUNetSlicerLib.networks.sam_unet_tiny import LEVELS, SamUnetTiny


@pytest.fixture(scope="module")
def follower():
    torch.manual_seed(0)
    return Follower(LEVELS).eval()


def textured_planes(shift: int) -> tuple[Embedding, Embedding]:
    """A plane of random texture, and the same moved right by so many pixels of the coarse grid."""
    torch.manual_seed(1)
    coarse, fine = torch.randn(1, LEVELS[1], 64, 64), torch.randn(1, LEVELS[0], 128, 128)
    here = Embedding({"map64": coarse, "map128": fine})
    there = Embedding({"map64": coarse.roll(shift, dims=3), "map128": fine.roll(2 * shift, dims=3)})
    return here, there


def square(x: int) -> torch.Tensor:
    mask = torch.full((1, 1, 128, 128), -8.0)
    mask[..., 50:80, x : x + 30] = 8.0
    return mask


def overlap(a, b):
    return float(2 * ((a > 0) & (b > 0)).sum() / ((a > 0).sum() + (b > 0).sum()))


@pytest.mark.parametrize("shift", [-3, 0, 2])
def test_untrained_it_moves_the_mask_with_the_texture(follower, shift):
    with torch.inference_mode():
        decoded = follower(*textured_planes(shift), square(50))
    assert overlap(decoded.logits, square(50 + 2 * shift)) > 0.93
    assert decoded.quality.shape == (1, 1)
    assert 0 <= float(decoded.quality) <= 1


def test_masks_in_one_batch_give_what_each_gives_alone(follower):
    here, there = textured_planes(1)
    both = [Embedding({n: t.expand(2, -1, -1, -1) for n, t in e.features.items()}) for e in (here, there)]
    masks = torch.cat([square(30), square(70)])
    with torch.inference_mode():
        together = follower(*both, masks).logits
        for i in range(2):
            torch.testing.assert_close(
                together[i : i + 1], follower(here, there, masks[i : i + 1]).logits, atol=1e-4, rtol=1e-4
            )


def test_the_mask_is_not_bent_to_please_its_judge(follower):
    decoded = follower(*textured_planes(1), square(50))
    decoded.quality.sum().backward()
    judged = {name.partition(".")[0] for name, p in follower.named_parameters() if p.grad is not None}
    assert judged == {"quality"}
    follower.zero_grad(set_to_none=True)


def test_weights_without_a_follower_make_a_network_that_does_not_follow():
    tensors = {n: t for n, t in build("sam_unet_tiny").state_dict().items() if not n.startswith("follower.")}
    settings = SamUnetTiny.settings_of(tensors)
    network = build("sam_unet_tiny", **settings)
    assert not network.follows
    network.load_state_dict(tensors, assign=True)
    assert build("sam_unet_tiny", **SamUnetTiny.settings_of(build("sam_unet_tiny").state_dict())).follows


def test_networks_of_other_families_do_not_follow():
    network = build("lite_medsam")
    assert not network.follows
    with pytest.raises(TypeError, match="prompts only"):
        network.follow(None, None, None)
