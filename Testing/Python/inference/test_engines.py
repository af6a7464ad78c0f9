import sys

import numpy as np
import pytest
import torch
from torch import nn

from fakes import INPUT_SIZE, BrightRegionNetwork
from requirements_guard import need
from SAMUNetSlicerLib.errors import UserError
from SAMUNetSlicerLib.inference.devices import choose_device, choose_working_device
from SAMUNetSlicerLib.inference.encoding import openvino_encoder
from SAMUNetSlicerLib.inference.encoding.encoders import Precision, TorchEncoder, compact
from SAMUNetSlicerLib.inference.encoding.engines import EngineChoice, build_encode
from SAMUNetSlicerLib.inference.encoding.openvino_encoder import OpenVinoEncoder
from SAMUNetSlicerLib.inference.predictor import PlaneImage, PlanePredictor
from SAMUNetSlicerLib.inference.prompts import PlanePrompts
from SAMUNetSlicerLib.networks.base import Embedding
from SAMUNetSlicerLib.networks.parts.conv_blocks import Down, ResidualBlock
from SAMUNetSlicerLib.networks.registry import build

CPU = torch.device("cpu")
BFLOAT16_STEP = 2**-8  # relative


@pytest.fixture
def without_openvino(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 3, INPUT_SIZE, INPUT_SIZE, generator=torch.Generator().manual_seed(count))


def test_openvino_encodes_what_torch_encodes_for_any_batch_size():
    need("openvino")
    network = BrightRegionNetwork()
    encode = OpenVinoEncoder(network)
    for count in (1, 3, 2):
        images = pictures(count)
        expected, got = network.encode(images).features, encode(images).features
        assert got.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(got[name].float(), expected[name], atol=BFLOAT16_STEP, rtol=2 * BFLOAT16_STEP)


def test_an_embedding_is_not_changed_by_the_next_call():
    need("openvino")
    encode = OpenVinoEncoder(BrightRegionNetwork())
    first = encode(pictures(1)).features["grey"]
    before = first.clone()
    encode(pictures(1).flip(2))
    torch.testing.assert_close(first, before)


def test_a_kept_conversion_serves_the_next_start(tmp_path):
    need("openvino")
    kept = tmp_path / "cache" / "hash"
    first = OpenVinoEncoder(BrightRegionNetwork(), kept)(pictures(2)).features["grey"]
    assert list(kept.glob("*.xml"))
    assert not list(kept.parent.glob(".new-*"))
    again = OpenVinoEncoder(None, kept)(pictures(2)).features["grey"]
    torch.testing.assert_close(again, first)


def test_a_conversion_that_cannot_be_kept_is_used_from_memory(tmp_path):
    need("openvino")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "something else").write_text("")
    got = OpenVinoEncoder(BrightRegionNetwork(), tmp_path / "taken")(pictures(1)).features["grey"]
    torch.testing.assert_close(got, OpenVinoEncoder(BrightRegionNetwork())(pictures(1)).features["grey"])
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "something else"]


@pytest.mark.parametrize("trouble", ["folder", "full disk"])
def test_a_conversion_that_cannot_be_written_is_used_from_memory(tmp_path, monkeypatch, trouble):
    need("openvino")
    (tmp_path / "file").write_text("")
    kept = tmp_path / "hash"
    if trouble == "folder":
        kept = tmp_path / "file" / "folder" / "hash"
    else:

        def full(*_args, **_kwargs):
            raise RuntimeError("basic_ios::clear: iostream error")

        monkeypatch.setattr("openvino.save_model", full)
    got = OpenVinoEncoder(BrightRegionNetwork(), kept)(pictures(1)).features["grey"]
    torch.testing.assert_close(got, OpenVinoEncoder(BrightRegionNetwork())(pictures(1)).features["grey"])
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


@pytest.mark.parametrize(("name", "share"), [("encoder.xml", 0.5), ("encoder.xml", 0), ("encoder.bin", 0)])
def test_a_kept_conversion_that_cannot_be_read_is_made_anew(tmp_path, name, share):
    need("openvino")
    kept = tmp_path / "hash"
    first = OpenVinoEncoder(BrightRegionNetwork(), kept)(pictures(1)).features["grey"]
    for blob in kept.glob("*.blob"):
        blob.unlink()
    content = (kept / name).read_bytes()
    (kept / name).write_bytes(content[: int(len(content) * share)])
    again = OpenVinoEncoder(BrightRegionNetwork(), kept)(pictures(1)).features["grey"]
    torch.testing.assert_close(again, first)
    torch.testing.assert_close(OpenVinoEncoder(None, kept)(pictures(1)).features["grey"], first)


def test_a_shortage_of_memory_does_not_cost_the_kept_conversion(tmp_path, monkeypatch):
    need("openvino")
    OpenVinoEncoder(BrightRegionNetwork(), tmp_path / "hash").prepare()

    class Core:
        def read_model(self, _path):
            raise RuntimeError("Check 'ptr' failed: cannot allocate memory for tensor")

    monkeypatch.setattr(openvino_encoder, "_core", Core)
    with pytest.raises(RuntimeError, match="cannot allocate"):
        OpenVinoEncoder(BrightRegionNetwork(), tmp_path / "hash").prepare()
    assert (tmp_path / "hash" / "encoder.xml").is_file()


def engines(network: BrightRegionNetwork, precision: Precision, monkeypatch):
    """Both, on a processor without bfloat16."""
    monkeypatch.setattr("SAMUNetSlicerLib.inference.encoding.engines.computes_in_bfloat16", lambda device: False)
    monkeypatch.setattr(OpenVinoEncoder, "_hint", "f32")
    return [
        build_encode(network, CPU, choice, None, precision) for choice in (EngineChoice.TORCH, EngineChoice.OPENVINO)
    ]


def test_what_is_computed_in_full_precision_is_kept_in_half_of_the_room(monkeypatch):
    need("openvino")
    network = BrightRegionNetwork()
    exact = network.encode(pictures(2)).features["grey"]
    for encode in engines(network, Precision.AUTO, monkeypatch):
        got = encode(pictures(2)).features["grey"]
        assert got.dtype == torch.float16
        torch.testing.assert_close(got.float(), exact, atol=1e-4, rtol=2**-11)
    for encode in engines(network, Precision.FULL, monkeypatch):
        got = encode(pictures(2)).features["grey"]
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, exact, atol=1e-6, rtol=1e-5)


def test_encodings_kept_otherwise_are_told_apart(monkeypatch):
    need("openvino")
    network = BrightRegionNetwork()
    encoders = [e for p in (Precision.AUTO, Precision.FULL) for e in engines(network, p, monkeypatch)]
    assert len({encode.signature for encode in encoders}) == 4


@pytest.mark.parametrize("too_large", [1e5, float("nan")])
def test_values_that_half_precision_cannot_hold_are_kept_in_full(too_large):
    features = {"grey": torch.ones(1, 1, 2, 2), "other": torch.full((1, 1), too_large)}
    kept = compact(Embedding(features))
    assert all(kept.features[name] is tensor for name, tensor in features.items())
    half = Embedding({"grey": torch.ones(1, 1, 2, 2, dtype=torch.bfloat16)})
    assert compact(half) is half


class NormedNetwork(BrightRegionNetwork):
    """Its features pass through group norms as wide as the shipped network's."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Sequential(Down(3, 96), ResidualBlock(96))
        for parameter in self.wide.parameters():
            nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(1))

    def encode(self, images: torch.Tensor) -> Embedding:
        return Embedding({"grey": self.wide(images)})


def test_group_norms_in_full_precision():
    """OpenVINO's own code for them ends the process."""
    need("openvino")
    network = NormedNetwork().eval()
    got = OpenVinoEncoder(network, precision=Precision.FULL)(pictures(1)).features["grey"]
    with torch.no_grad():
        torch.testing.assert_close(got, network.encode(pictures(1)).features["grey"], atol=1e-4, rtol=1e-4)


def test_masks_are_the_same_with_either_engine():
    need("openvino")
    rgb = np.zeros((90, 100, 3), dtype=np.uint8)
    rgb[30:60, 20:70] = 200
    image, prompts = PlaneImage(rgb, "key"), PlanePrompts(box_xyxy=(15, 25, 75, 65))
    network = BrightRegionNetwork()
    masks = [
        PlanePredictor(network, encode_planes=build_encode(network, CPU, choice)).predict(image, prompts).mask
        for choice in (EngineChoice.TORCH, EngineChoice.OPENVINO)
    ]
    np.testing.assert_array_equal(*masks)


def test_without_openvino_torch_does_the_work(without_openvino):
    network = BrightRegionNetwork()
    assert isinstance(build_encode(network, CPU, EngineChoice.AUTO), TorchEncoder)


def test_asking_for_openvino_where_it_is_missing_is_refused_in_plain_words(without_openvino):
    with pytest.raises(UserError, match="Install"):
        build_encode(BrightRegionNetwork(), CPU, EngineChoice.OPENVINO)


@pytest.mark.parametrize(("free_gib", "planes"), [(0.001, 1), (1, 16), (0.1, 3)])
def test_a_graphics_card_is_never_bypassed_and_gets_batches_that_fit(monkeypatch, free_gib, planes):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (int(free_gib * 2**30), 2**34))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (8, 6))
    encoder = build_encode(BrightRegionNetwork(), torch.device("cuda"), EngineChoice.AUTO)
    assert isinstance(encoder, TorchEncoder)
    assert encoder.precision is Precision.HALF
    assert encoder.planes_at_once == planes


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), Precision.FULL), ((8, 0), Precision.HALF)])
def test_a_card_that_would_only_emulate_bfloat16_computes_in_full_precision(monkeypatch, capability, precision):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (2**33, 2**34))
    # The second card, though torch's own question is about the first, and counts an emulation.
    capabilities = {0: (9, 0), 1: capability}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capabilities[device.index])
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    second = torch.device("cuda:1")
    assert build_encode(BrightRegionNetwork(), second, EngineChoice.AUTO).precision is precision


def test_half_precision_that_is_asked_for_is_float16_on_a_card_without_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    chosen = []
    monkeypatch.setattr(torch, "autocast", lambda *how: chosen.append(how))
    TorchEncoder(BrightRegionNetwork(), Precision.HALF)._mode(torch.device("cuda:0"))
    assert chosen == [("cuda", torch.float16)]


@pytest.mark.parametrize("wish", ["cpu:abc", "cpu:", "mpsx", "auto:1"])
def test_a_device_that_is_misspelt_is_a_plain_error(wish):
    with pytest.raises(UserError, match=f"'{wish}' is not known"):
        choose_device(wish)


def test_a_graphics_card_that_is_not_there_is_a_plain_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1").index == 1
    with pytest.raises(UserError, match="no graphics card 'cuda:2'"):
        choose_device("cuda:2")


def test_a_card_that_the_build_has_no_kernels_for_gives_way_to_the_processor(monkeypatch, caplog):
    # The device "meta" holds no numbers: reading one fails, as on such a card.
    monkeypatch.setattr("SAMUNetSlicerLib.inference.devices.choose_device", lambda _wish: torch.device("meta"))
    assert choose_working_device("cuda").type == "cpu"
    (told,) = caplog.messages
    assert "does not work with the installed PyTorch, so the processor is used" in told


def test_a_device_that_computes_is_used_in_silence(caplog):
    assert choose_working_device("cpu").type == "cpu"
    assert not caplog.messages


def test_answers_of_different_precision_have_different_signatures():
    signatures = {TorchEncoder(BrightRegionNetwork(), p).signature for p in (Precision.FULL, Precision.HALF)}
    need("openvino")
    signatures.add(OpenVinoEncoder(BrightRegionNetwork()).signature)
    assert len(signatures) == 3


def test_half_precision_is_near_full_and_torch_is_left_as_it_was():
    torch.manual_seed(0)
    network = build("sam_unet_tiny", device="cpu")
    images = torch.rand(1, 3, 256, 256)
    job = TorchEncoder(network, Precision.HALF).begin(images)
    assert not job.poll()
    assert not torch.is_autocast_enabled("cpu")
    exact = TorchEncoder(network)(images).features
    for name, got in job.result().features.items():
        assert got.dtype == torch.bfloat16
        assert 0 < (got - exact[name]).std() < 0.05 * exact[name].std()
