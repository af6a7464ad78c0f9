"""SAM-UNet: a frozen SAM ViT-B with a trained ResNet beside it, fused in the encoder and again in the mask decoder.

Source: Yang et al., SAM-UNet: Enhancing Zero-Shot Segmentation of SAM for Universal Medical Images,
arXiv 2408.09886. The names of the modules are those of the published checkpoints, so that they load strictly.
"""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor, nn

from ..stepwise import run_through
from .base import (
    Decoded,
    Embedding,
    NetworkPrompts,
    NetworkSpec,
    Normalisation,
    Preprocessing,
    PromptedNetwork,
    PromptKind,
    Resize,
)
from .parts.resnet import Backbone, ResNetStages
from .parts.sam_parts import (
    MLP,
    LayerNorm2d,
    attend,
    build_mask_features,
    build_prompt_encoder,
    build_transformer,
    build_upscaling,
    encode_prompts,
    mask_logits,
)
from .parts.vit import PATCH_SIZE, VIT_B, apply_neck, build_image_encoder, embed_patches

INPUT_SIZE = 256
TOKEN_SIDE = INPUT_SIZE // PATCH_SIZE
MASK_SIDE = 4 * TOKEN_SIDE
_FAMILIES = {Backbone.RESNET34: "sam_unet_res34", Backbone.RESNET50: "sam_unet_res50"}
_NAMES = {Backbone.RESNET34: "ResNet-34", Backbone.RESNET50: "ResNet-50"}


def _halve(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), LayerNorm2d(outputs), nn.GELU()]


def _double(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(inputs, outputs, 2, stride=2), LayerNorm2d(outputs), nn.GELU()]


def build_fusion_adapter(channels: int, side: int) -> nn.ModuleDict:
    """Brings a conv feature of `channels` and `side` pixels to the ViT's token grid and width."""
    layers = []
    while side > TOKEN_SIDE:
        layers += _halve(channels, channels * 2)
        channels, side = channels * 2, side // 2
    while side < TOKEN_SIDE:
        layers += _double(channels, channels // 2)
        channels, side = channels // 2, side * 2
    layers.append(nn.Conv2d(channels, VIT_B.width, 1))
    return nn.ModuleDict({"reshaper": nn.Sequential(*layers)})


class SamUnetMaskDecoder(nn.Module):
    """SAM's two-way transformer with one learnt mask token, and the multi-scale feature added before the mask."""

    def __init__(self) -> None:
        super().__init__()
        # The last GELU is SAM's: the mask is a product with activated features.
        upscaling = nn.Sequential(*build_upscaling(256, 64, 32), nn.GELU())
        self.sam_mask_decoder = nn.ModuleDict({"transformer": build_transformer(), "output_upscaling": upscaling})
        self.med_token = nn.Embedding(1, 256)
        self.hf_mlp = MLP(256, 256, 32, 3)
        self.embedding_maskfeature = build_mask_features()

    def forward(self, image: Tensor, multi_scale: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor) -> Tensor:
        """Logits (B, 1, 64, 64) from embeddings (B, 256, 16, 16) and (B, 32, 64, 64), one per prompt."""
        parts = self.sam_mask_decoder
        tokens, features = attend(parts["transformer"], self.med_token.weight, image, image_pe, sparse, dense)
        features = self.embedding_maskfeature(parts["output_upscaling"](features)) + multi_scale
        return mask_logits(self.hf_mlp(tokens[:, :1]), features)


class SamUnet(PromptedNetwork):
    """SAM-UNet with a ResNet-34 or -50 beside the ViT. The ViT's parameters are frozen, all others trainable.

    Embedding: `image` (N, 256, 16, 16), the ViT's own; `multi_scale` (N, 32, 64, 64), that and the three bridges.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.spec = NetworkSpec(
            family=_FAMILIES[backbone],
            preprocessing=Preprocessing(INPUT_SIZE, Resize.BILINEAR_LONGEST, Normalisation.IMAGENET),
            mask_prompt_size=MASK_SIDE,
            trained_prompts=PromptKind.BOX,
            description=f"SAM-UNet, {_NAMES[backbone]} beside a frozen SAM ViT-B (arXiv 2408.09886)",
        )
        self.image_encoder = nn.ModuleDict({"sam_img_encoder": build_image_encoder(VIT_B, INPUT_SIZE)})
        self.prompt_encoder = nn.ModuleDict({"sam_prompt_encoder": build_prompt_encoder(TOKEN_SIDE, INPUT_SIZE)})
        self.mask_decoder = SamUnetMaskDecoder()
        self.resnet = ResNetStages(backbone)
        sides = (64, 32, 16, 8)
        self.adapters_in = nn.ModuleList(map(build_fusion_adapter, self.resnet.channels, sides))
        # Stored from the deepest to the shallowest, as in the published checkpoints.
        self.adapters_bridge = nn.ModuleList(build_upscaling(VIT_B.width, 256, 32) for _ in range(3))
        self.embedding_encoder = build_upscaling(256, 64, 32)
        self.image_encoder.requires_grad_(False)

    def encode(self, images: Tensor) -> Embedding:
        return run_through(self.encode_steps(images))

    def encode_steps(self, images: Tensor) -> Generator[None, None, Embedding]:
        """As `encode`, pausing between the blocks."""
        vit = self.image_encoder["sam_img_encoder"]
        features = self.resnet(images)
        yield
        fused = []
        for adapter, feature in zip(self.adapters_in, features, strict=True):
            fused.append(adapter["reshaper"](feature).permute(0, 2, 3, 1))
            yield
        tokens = embed_patches(vit, images)
        after_global = []
        for group, feature in enumerate(fused):
            first, second, last = vit.blocks[3 * group : 3 * group + 3]
            tokens = first(tokens)
            yield
            tokens = second(tokens) + feature
            yield
            tokens = last(tokens)
            yield
            after_global.append(tokens)
        image = apply_neck(vit, tokens)
        multi_scale = self.embedding_encoder(image)
        for bridge, bridged in zip(reversed(self.adapters_bridge), after_global[:3], strict=True):
            multi_scale = multi_scale + bridge(bridged.permute(0, 3, 1, 2))
            yield
        return Embedding({"image": image, "multi_scale": multi_scale})

    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        encoder = self.prompt_encoder["sam_prompt_encoder"]
        sparse, dense = encode_prompts(encoder, prompts)
        planes = prompts.planes(dense.device)
        image, multi_scale = (embedding.features[name][planes] for name in ("image", "multi_scale"))
        logits = self.mask_decoder(image, multi_scale, encoder.get_dense_pe(), sparse, dense)
        return Decoded(logits, quality=None)
