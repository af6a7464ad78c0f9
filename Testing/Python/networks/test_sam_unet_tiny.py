"""The network's own behaviour with random weights; how well it segments is the evaluator's business."""

import pytest
import torch

from SAMUNetSlicerLib.networks.base import Embedding, NetworkPrompts, PromptKind
from SAMUNetSlicerLib.networks.sam_unet_tiny import INPUT_SIZE, MASK_SIZE, SamUnetTiny


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = SamUnetTiny().eval()
    with torch.no_grad():
        # Layers that start at zero hide what stands behind them.
        for parameter in network.parameters():
            if parameter.requires_grad and not parameter.any():
                parameter.normal_(std=0.05)
    return network


@pytest.fixture(scope="module")
def embedding(network):
    torch.manual_seed(1)
    with torch.inference_mode():
        return network.encode(torch.rand(2, 3, INPUT_SIZE, INPUT_SIZE))


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def box(*xyxy):
    return torch.tensor([xyxy], dtype=torch.float32)


def test_one_mask_and_one_quality_come_out_per_prompt(network, embedding):
    decoded = network.decode(embedding, NetworkPrompts(boxes_xyxy=box(20, 30, 90, 100).expand(3, 4)))
    assert decoded.logits.shape == (3, 1, MASK_SIZE, MASK_SIZE)
    assert decoded.quality.shape == (3, 1)
    assert ((decoded.quality >= 0) & (decoded.quality <= 1)).all()


def test_every_kind_of_prompt_changes_the_answer(network, embedding):
    given = {"boxes_xyxy": box(20, 30, 90, 100)}
    plain = network.decode(embedding, NetworkPrompts(**given)).logits
    variants = [
        {"boxes_xyxy": box(20, 30, 110, 100)},
        {**given, "points_xy": torch.tensor([[[50.0, 60.0]]]), "point_labels": torch.tensor([[1]])},
        {**given, "points_xy": torch.tensor([[[50.0, 60.0]]]), "point_labels": torch.tensor([[0]])},
        {**given, "mask_logits": torch.randn(1, 1, MASK_SIZE, MASK_SIZE)},
    ]
    answers = [plain, *(network.decode(embedding, NetworkPrompts(**v)).logits for v in variants)]
    for i, a in enumerate(answers):
        for b in answers[i + 1 :]:
            assert (a - b).abs().max() > 1e-3


def test_prompts_of_several_planes_in_one_batch_give_what_each_gives_alone(network, embedding):
    boxes = torch.cat([box(20, 30, 90, 100), box(100, 100, 200, 220), box(5, 5, 60, 60)])
    together = network.decode(embedding, NetworkPrompts(boxes_xyxy=boxes, plane_index=torch.tensor([0, 1, 1])))
    for i, plane in enumerate([0, 1, 1]):
        alone = network.decode(embedding.select(slice(plane, plane + 1)), NetworkPrompts(boxes_xyxy=boxes[i : i + 1]))
        torch.testing.assert_close(together.logits[i : i + 1], alone.logits, atol=1e-4, rtol=1e-4)


def test_a_plane_is_encoded_the_same_alone_and_in_a_batch(network):
    torch.manual_seed(2)
    images = torch.rand(2, 3, INPUT_SIZE, INPUT_SIZE)
    together = network.encode(images)
    alone = Embedding.concatenate([network.encode(image[None]) for image in images])
    for name, features in together.features.items():
        torch.testing.assert_close(features, alone.features[name], atol=1e-4, rtol=1e-4)


def test_the_transformer_encoder_is_frozen_and_the_rest_is_trained(network):
    trained = {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    frozen = {name.split(".")[0] for name, p in network.named_parameters() if not p.requires_grad}
    assert trained == {"image_fusion", "prompt_encoder", "mask_decoder"}
    assert frozen == {"image_encoder"}


def test_training_mode_leaves_the_frozen_encoders_statistics_alone():
    network = SamUnetTiny().train()
    assert network.mask_decoder.training
    assert not any(module.training for module in network.image_encoder.modules())


def test_it_says_that_it_knows_points_boxes_and_masks(network):
    users = PromptKind.BOX | PromptKind.POINTS | PromptKind.MASK
    assert network.spec.trained_prompts == users | PromptKind.NEIGHBOUR_MASK


def test_planes_encoded_in_half_precision_get_nearly_the_same_answer(network, embedding):
    prompts = NetworkPrompts(boxes_xyxy=box(20, 30, 90, 100), plane_index=torch.tensor([1]))
    full, half = (network.decode(e, prompts) for e in (embedding, embedding.to(torch.bfloat16)))
    assert half.logits.dtype == half.quality.dtype == torch.float32
    assert 0 < (half.logits - full.logits).square().mean().sqrt() < 0.02 * full.logits.std()
    assert (half.quality - full.quality).abs().max() < 0.01


def test_a_decode_in_steps_is_the_same_and_pauses_at_every_block(network, embedding):
    prompts = NetworkPrompts(boxes_xyxy=box(20, 30, 90, 100))
    whole, steps, pauses = network.decode(embedding, prompts), network.decode_steps(embedding, prompts), 0
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
            pauses += 1
    assert torch.equal(end.value.value.logits, whole.logits)
    assert torch.equal(end.value.value.quality, whole.quality)
    blocks = len(network.mask_decoder.unet.encoder) + len(network.mask_decoder.unet.decoder)
    assert pauses == 2 + blocks


def test_learning_computes_as_it_is_told_whatever_the_encodings_are_kept_in(network, embedding):
    prompts = NetworkPrompts(boxes_xyxy=box(20, 30, 90, 100))
    kept = embedding.to(torch.bfloat16)
    full = network.decode(kept.to(torch.float32), prompts).logits
    with torch.inference_mode(False), torch.enable_grad():
        learning = network.decode(Embedding({name: t.clone() for name, t in kept.features.items()}), prompts).logits
    assert torch.equal(learning.detach(), full)
