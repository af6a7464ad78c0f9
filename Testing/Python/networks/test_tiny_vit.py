"""TinyViT in strips and with gathered windows against its published form."""

import pytest
import torch

from SAMUNetSlicerLib.networks.parts.published_forms import as_published
from SAMUNetSlicerLib.networks.parts.tiny_vit import MobileConv, TinyVit, TinyVitBlock, WindowAttention
from SAMUNetSlicerLib.stepwise import run_through


def with_random_values(module: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(std=0.3)
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
    return module.eval()


@pytest.mark.parametrize("height", [7, 64, 65, 128, 150])
@pytest.mark.parametrize("width", [4, 32, 40])
def test_strips_and_shares_of_channels_give_what_the_whole_picture_gives(height, width):
    block = with_random_values(MobileConv(width))
    x = torch.randn(2, width, height, 9)
    with torch.inference_mode():
        torch.testing.assert_close(run_through(block.steps(x)), run_through(as_published(block).steps(x)))


@pytest.mark.parametrize(("height", "breadth", "window"), [(14, 14, 7), (16, 9, 7), (5, 12, 4), (3, 3, 7)])
def test_windows_give_what_padded_ones_give(height, breadth, window):
    attention = with_random_values(WindowAttention(12, 3, window))
    tokens = torch.randn(2, height * breadth, 12)
    with torch.inference_mode():
        expected = as_published(attention)(tokens, height, breadth)
        torch.testing.assert_close(attention(tokens, height, breadth), expected)


def test_gradients_agree():
    block = with_random_values(TinyVitBlock(12, 3, 4)).train()
    gradients = []
    for form in (block, as_published(block)):
        x = torch.linspace(-1, 1, 2 * 12 * 6 * 5).view(2, 12, 6, 5).requires_grad_()
        run_through(form.steps(x)).square().sum().backward()
        gradients.append([x.grad, *(parameter.grad.clone() for parameter in block.parameters())])
        block.zero_grad()
    for ours, published in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, published, rtol=1e-3, atol=1e-3)


def test_the_whole_encoder_agrees_with_its_published_form_which_shares_its_weights():
    torch.manual_seed(0)
    encoder = TinyVit().eval()
    published = as_published(encoder)
    with torch.inference_mode():
        images = torch.rand(1, 3, 256, 256)
        for name, expected in published(images).items():
            torch.testing.assert_close(encoder(images)[name], expected, rtol=1e-4, atol=1e-4)
    assert published.neck[0].weight is encoder.neck[0].weight
    assert not any(type(module) in (MobileConv, WindowAttention) for module in published.modules())
