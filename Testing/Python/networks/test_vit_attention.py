"""Attention computed sparingly gives what SAM's own blocks give."""

import pytest
import torch

from SAMUNetSlicerLib.networks.parts import vit_attention
from SAMUNetSlicerLib.networks.parts.published_forms import as_published
from SAMUNetSlicerLib.networks.parts.sam_parts import load_modeling
from SAMUNetSlicerLib.networks.parts.vit import Block, ViTSize, build_image_encoder
from SAMUNetSlicerLib.networks.parts.vit_attention import attend_globally


def blocks(window, token_hw, positions_hw=None):
    """A small block of SAM's with random weights everywhere, and ours with the same."""
    torch.manual_seed(0)
    plain, ours = (
        made(dim=32, num_heads=2, use_rel_pos=True, window_size=window, input_size=positions_hw or token_hw).eval()
        for made in (load_modeling().image_encoder.Block, Block)
    )
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


def assert_same(actual, expected):
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("token_hw", [(16, 16), (14, 14), (28, 28), (5, 5), (16, 30), (33, 3), (29, 15)])
def test_windows_agree_also_where_they_reach_beyond_the_picture(token_hw):
    plain, ours = blocks(14, token_hw)
    tokens = torch.randn(3, *token_hw, 32)
    with torch.inference_mode():
        assert_same(ours(tokens), plain(tokens))


@pytest.mark.parametrize("token_hw", [(16, 16), (7, 9), (1, 4)])
@pytest.mark.parametrize("elements", [1, 3000, 2**23])
def test_global_attention_agrees_however_many_rows_are_done_at_a_time(monkeypatch, token_hw, elements):
    monkeypatch.setattr(vit_attention, "_BIAS_ELEMENTS", elements)
    plain, ours = blocks(0, token_hw)
    tokens = torch.randn(2, *token_hw, 32)
    with torch.inference_mode():
        assert_same(ours(tokens), plain(tokens))
        assert_same(attend_globally(ours.attn, tokens), plain.attn(tokens))


def test_positions_of_another_length_are_resized_as_sam_does():
    plain, ours = blocks(0, (8, 8), positions_hw=(5, 13))
    tokens = torch.randn(1, 8, 8, 32)
    with torch.inference_mode():
        assert_same(ours(tokens), plain(tokens))


def test_gradients_agree():
    gradients = []
    for block in blocks(14, (16, 16)):
        torch.manual_seed(1)
        tokens = torch.randn(1, 16, 16, 32, requires_grad=True)
        block(tokens).square().sum().backward()
        gradients.append([tokens.grad, *(parameter.grad for parameter in block.parameters())])
    for expected, actual in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-3, rtol=1e-4)


def test_the_whole_encoder_agrees_with_its_plain_form_which_shares_its_weights():
    torch.manual_seed(0)
    encoder = build_image_encoder(ViTSize("b", 24, 3, 2, (1,)), 256).eval()
    plain = as_published(encoder)
    images = torch.randn(2, 3, 256, 256)
    with torch.inference_mode():
        assert_same(encoder(images), plain(images))
    assert not any(isinstance(module, Block) for module in plain.modules())
    assert all(isinstance(block, Block) for block in encoder.blocks)
    assert plain.neck[0].weight is encoder.neck[0].weight
