"""A file or a name becomes a ready network, or a reason why not."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from parity import PARITY_FOLDER, manifest_of
from repository import LIBRARY
from SAMUNetSlicerLib.checkpoints.catalogue import read_catalogue
from SAMUNetSlicerLib.checkpoints.identity import sha256_of
from SAMUNetSlicerLib.checkpoints.loading import assemble, decide_family, load_in_steps, load_network
from SAMUNetSlicerLib.checkpoints.metadata import METADATA_KEY
from SAMUNetSlicerLib.checkpoints.places import MODELS_FOLDER_VARIABLE, user_models_folder, weights_folder
from SAMUNetSlicerLib.checkpoints.recognise import check_fit, recognise
from SAMUNetSlicerLib.checkpoints.tensors import read_tensors
from SAMUNetSlicerLib.checkpoints.writing import write_safetensors
from SAMUNetSlicerLib.errors import ModelError
from SAMUNetSlicerLib.networks.registry import FAMILIES, build

SHIPPED = weights_folder() / "lite_medsam.safetensors"


@pytest.fixture(autouse=True)
def _own_models_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(tmp_path / "models"))


@pytest.mark.parametrize("family", [name for name, entry in FAMILIES.items() if entry.markers])
def test_each_family_is_known_by_its_own_tensors(family):
    fixture = PARITY_FOLDER / family
    if fixture.is_dir():
        manifest = manifest_of(family)
        names = manifest["delta"]["keys"] if "delta" in manifest else manifest["keys"]
    else:
        names = build(family).state_dict()
    assert recognise(dict.fromkeys(names)) == family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_built_on_the_meta_device_holds_shapes_only(family):
    network = build(family)
    assert all(tensor.is_meta for tensor in network.state_dict().values())
    assert network.spec.family == family
    # what a checkpoint does not bring must be there already
    loose = set(dict(network.named_buffers())) - set(network.state_dict())
    assert not [name for name in loose if network.get_buffer(name).is_meta]


def test_an_unknown_family_is_refused_with_the_known_ones():
    with pytest.raises(ModelError, match="sam_unet_res34"):
        build("sam_unet_res18")


def test_the_shipped_model_loads_by_name():
    model = load_network("lite_medsam")
    assert (model.family, model.name, model.licence) == ("lite_medsam", "lite_medsam", "Apache-2.0")
    assert model.sha256 == sha256_of(SHIPPED) == read_catalogue().get("lite_medsam").file.sha256
    assert not model.network.training
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    assert all(p.device.type == "cpu" for p in model.network.parameters())


def test_the_same_file_elsewhere_is_known_by_its_hash(tmp_path):
    shutil.copy(SHIPPED, tmp_path / "renamed.bin")
    assert load_network(tmp_path / "renamed.bin").name == "lite_medsam"


def test_a_trained_network_loads_again_from_the_file_that_was_written(tmp_path):
    torch.manual_seed(0)
    network = build("sam_unet_tiny", "cpu")
    write_safetensors(network.state_dict(), tmp_path / "mine.safetensors", {"family": "sam_unet_tiny"})
    model = load_network(tmp_path / "mine.safetensors")
    assert (model.family, model.name, model.licence) == ("sam_unet_tiny", "mine.safetensors", "unknown")
    expected = network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.network.state_dict().items())
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, p in model.network.named_parameters() if not p.requires_grad}


def test_weights_that_share_memory_are_written(tmp_path):
    """As torch keeps tied weights, and views of one array."""
    flat = torch.arange(10.0)
    tensors = {"a": flat[:6], "b": flat[:6], "c": flat[4:], "d": flat, "e": torch.zeros(0)}
    torch.save(tensors, tmp_path / "a.pth")
    write_safetensors(read_tensors(tmp_path / "a.pth"), tmp_path / "a.safetensors", {})
    written = read_tensors(tmp_path / "a.safetensors")
    assert {name: tensor.tolist() for name, tensor in written.items()} == {n: t.tolist() for n, t in tensors.items()}


def test_equal_weights_give_equal_files(tmp_path):
    tensors = read_tensors(SHIPPED)
    for name in ("a", "b"):
        write_safetensors(tensors, tmp_path / name, {"x": "1", "y": "2", "z": "3"}, half=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_half_precision_spares_the_small_tensors(tmp_path):
    tensors = {"large": torch.full((64, 64), 1 / 3), "small": torch.full((64,), 1e-7), "count": torch.tensor(3)}
    write_safetensors(tensors, tmp_path / "a", {}, half=True)
    read = read_tensors(tmp_path / "a")
    assert (read["large"].dtype, read["small"].dtype, read["count"].dtype) == (torch.half, torch.float32, torch.long)


def test_misfits_are_named():
    network = build("lite_medsam")
    tensors = read_tensors(SHIPPED)
    tensors["stranger"] = tensors.pop("mask_decoder.iou_token.weight")
    tensors["image_encoder.neck.0.weight"] = torch.zeros(2, 3)
    with pytest.raises(ModelError) as caught:
        check_fit(network, tensors, "lite_medsam")
    for part in ("1 missing (mask_decoder.iou_token.weight)", "1 unexpected (stranger)", "(2, 3) instead of (256, 320"):
        assert part in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_weights_that_are_no_fractions_are_refused(tmp_path, dtype):
    tensors = read_tensors(SHIPPED)
    name = next(name for name in tensors if name.endswith("weight"))
    save_file(tensors | {name: tensors[name].to(dtype)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=f"1 not of floating-point numbers .{name} {dtype}"):
        load_network(tmp_path / "a.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_training_that_went_wrong_are_refused(tmp_path, value):
    tensors = read_tensors(SHIPPED)
    name = next(name for name in tensors if name.endswith("weight"))
    broken = tensors[name].clone()
    broken.view(-1)[-1] = value
    save_file(tensors | {name: broken}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=f"{name} are no numbers"):
        load_network(tmp_path / "a.safetensors")


def test_a_base_that_is_not_needed_is_refused():
    with pytest.raises(ModelError, match="Leave the base out"):
        load_network("lite_medsam", base=SHIPPED)


@pytest.mark.parametrize("text", ["[" * 100_000, "{"])
def test_a_damaged_word_on_the_origin_is_refused(tmp_path, text):
    save_file(read_tensors(SHIPPED), tmp_path / "a.safetensors", {METADATA_KEY: text})
    with pytest.raises(ModelError, match="damaged"):
        load_network(tmp_path / "a.safetensors")


@pytest.mark.parametrize("size", ["²", "9" * 5000, "-16", ""])
def test_a_remembered_size_that_is_none_is_passed_over(tmp_path, size):
    save_file(read_tensors(SHIPPED), tmp_path / "a.safetensors", {METADATA_KEY: json.dumps({"input_size": size})})
    assert load_network(tmp_path / "a.safetensors").family == "lite_medsam"


def test_an_input_size_that_the_network_cannot_have_is_refused_in_words():
    with pytest.raises(ModelError, match="one input size only"):
        load_network(SHIPPED, input_size=256)
    for size in (0, -16, 100):
        with pytest.raises(ModelError, match=f"multiple of 16 pixels, not {size}"):
            assemble("med_sa", {}, input_size=size)


def test_a_wrong_family_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"is a file of the family lite_medsam, not sam_unet_res34"):
        load_network("lite_medsam", family="sam_unet_res34")
    tensors = read_tensors(SHIPPED)
    save_file(tensors, tmp_path / "unknown.safetensors")
    for family in ("sam_unet_res34", "samed", "med_sa", "ma_sam"):
        with pytest.raises(ModelError, match=f"does not fit the network {family}"):
            load_network(tmp_path / "unknown.safetensors", family=family)


def test_of_sam_and_medsam_the_hash_or_the_user_decides():
    tensors = dict.fromkeys(manifest_of("sam_vit_b")["keys"])
    with pytest.raises(ModelError, match=r"sam_vit_b or medsam_vit_b.*--family"):
        decide_family("x.pth", tensors, known=None, asked=None)
    assert decide_family("x.pth", tensors, known=None, asked="medsam_vit_b") == "medsam_vit_b"
    assert decide_family("x.pth", tensors, known="medsam_vit_b", asked=None) == "medsam_vit_b"
    with pytest.raises(ModelError, match="of the family medsam_vit_b, not sam_vit_b"):
        decide_family("x.pth", tensors, known="medsam_vit_b", asked="sam_vit_b")


def test_another_way_to_use_the_weights_is_chosen_by_name():
    tensors = dict.fromkeys(manifest_of("hq_sam_vit_b")["keys"])
    assert decide_family("x.pth", tensors, known=None, asked=None) == "hq_sam_vit_b"
    assert decide_family("x.pth", tensors, known="hq_sam_vit_b", asked="hq_sam_vit_b_only") == "hq_sam_vit_b_only"


def test_a_file_without_its_base_says_which_one_it_needs(tmp_path):
    delta = {"w_a_000": torch.zeros(4, 768), "w_b_000": torch.zeros(768, 4)}
    save_file(delta, tmp_path / "samed.safetensors")
    with pytest.raises(ModelError, match=r"on top of sam_vit_b.*--base"):
        load_network(tmp_path / "samed.safetensors")
    with pytest.raises(ModelError, match="does not fit the network samed"):
        load_network(tmp_path / "samed.safetensors", base=SHIPPED)


def test_an_unknown_layout_is_shown(tmp_path):
    save_file(
        {"encoder.layer1.weight": torch.ones(2), "encoder.layer1.bias": torch.ones(2)}, tmp_path / "a.safetensors"
    )
    with pytest.raises(ModelError, match=r"encoder\.layer1 \(2\)"):
        load_network(tmp_path / "a.safetensors")


def test_neither_file_nor_model_is_said_so():
    with pytest.raises(ModelError, match=r"neither a file nor a model.*lite_medsam"):
        load_network("no_such_model")


def test_the_users_models_stand_where_the_variable_says(tmp_path, monkeypatch):
    assert user_models_folder() == tmp_path / "models"
    monkeypatch.delenv(MODELS_FOLDER_VARIABLE)
    assert user_models_folder().parts[-2:] == ("SAMUNetSlicer", "models")


def test_loading_pauses_between_short_steps():
    steps, count = load_in_steps("lite_medsam"), 0
    while True:
        try:
            next(steps)
            count += 1
        except StopIteration as end:
            loaded = end.value
            break
    assert count > len(loaded.network.state_dict()), "one for each tensor, and more"
    whole = load_network("lite_medsam")
    assert loaded.identity == whole.identity
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, loaded.network.state_dict()[name])


def test_building_a_network_does_not_bring_torchs_compiler():
    """It is large, and nothing here is compiled: it would hold a window for seconds."""
    code = (
        "import sys; from SAMUNetSlicerLib.networks.registry import FAMILIES, build\n"
        "for family in FAMILIES: build(family)\n"
        "sys.exit('torch._dynamo' in sys.modules or 'sympy' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY.parent), "OMP_NUM_THREADS": "1"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
