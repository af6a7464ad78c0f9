"""Tensors come out of every usual form of checkpoint, exactly, and nothing else does."""

from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from SAMUNetSlicerLib.checkpoints.metadata import METADATA_KEY, read_metadata
from SAMUNetSlicerLib.checkpoints.tensors import read_tensors, to_float32
from SAMUNetSlicerLib.errors import MemoryShortageError, ModelError


@pytest.fixture
def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2).half())


@pytest.fixture
def state(module):
    return module.state_dict()


def saved(content, folder, name="model.pth"):
    torch.save(content, folder / name)
    return folder / name


def assert_same(actual, expected):
    assert list(actual) == list(expected)
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype
        assert torch.equal(actual[name], tensor), name


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "net"])
def test_wrappers_are_removed(state, tmp_path, wrapper):
    assert_same(read_tensors(saved({wrapper: state, "epoch": 3}, tmp_path)), state)


def test_a_bare_state_dict_is_read(state, tmp_path):
    assert_same(read_tensors(saved(state, tmp_path)), state)


def test_a_wrapper_that_holds_no_tensors_is_not_taken_for_one(state, tmp_path):
    assert_same(read_tensors(saved({"model": "sam", "net": {"lr": 1}, "state_dict": state}, tmp_path)), state)


def test_the_prefix_of_parallel_training_is_removed(state, tmp_path):
    parallel = OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())
    assert_same(read_tensors(saved({"model": parallel}, tmp_path)), state)


def test_the_prefix_stays_where_only_some_names_have_it(tmp_path):
    state = {"module.a": torch.ones(2), "b": torch.ones(2)}
    assert_same(read_tensors(saved(state, tmp_path)), state)


def test_a_pickled_optimizer_beside_the_weights_is_left_out(module, state, tmp_path):
    module.float()
    optimizer = torch.optim.Adam(module.parameters())
    nn.functional.relu(module[0](torch.ones(1, 3, 4, 4))).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [5, 10], gamma=0.5)
    path = saved({"model": module.state_dict(), "optimizer": optimizer, "schedule": schedule}, tmp_path)
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        torch.load(path, weights_only=True)
    assert_same(read_tensors(path), module.state_dict())


def test_parameters_views_and_scalars_keep_shape_and_values(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    content = {
        "parameter": nn.Parameter(base.clone()),
        "transposed": base.T,
        "part": base[1:3, ::2],
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "flags": torch.tensor([True, False]),
        "bfloat": base.bfloat16(),
    }
    read = read_tensors(saved(content, tmp_path))
    assert_same(read, {name: tensor.detach() for name, tensor in content.items()})


def test_safetensors_are_read_whatever_the_file_is_called(state, tmp_path):
    save_file(state, tmp_path / "weights.bin", {METADATA_KEY: '{"family": "x", "steps": 3}'})
    read = read_tensors(tmp_path / "weights.bin")
    assert_same(dict(sorted(read.items())), dict(sorted(state.items())))
    assert read_metadata(tmp_path / "weights.bin") == {"family": "x"}


def test_other_files_have_no_metadata(state, tmp_path):
    assert read_metadata(saved(state, tmp_path)) == {}


def test_writing_to_a_loaded_tensor_leaves_the_file_alone(state, tmp_path):
    path = saved(state, tmp_path)
    before = path.read_bytes()
    read_tensors(path)["0.weight"].zero_()
    assert path.read_bytes() == before


def test_reduced_and_double_precision_become_float32_and_integers_stay():
    assert to_float32(torch.ones(2).half()).dtype == torch.float32
    assert to_float32(torch.ones(2).double()).dtype == torch.float32
    assert to_float32(torch.ones(2, dtype=torch.long)).dtype == torch.long


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.pth"):
        read_tensors(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    ("mapping", "error"),
    [
        ("SAMUNetSlicerLib.checkpoints.tensors.safe_open", OSError("El archivo es demasiado grande. (os error 1455)")),
        ("torch.UntypedStorage.from_file", RuntimeError("Couldn't open file mapping: <a.pth>, error code: <1455>")),
    ],
)
def test_a_windows_without_memory_is_no_damaged_file(state, tmp_path, monkeypatch, mapping, error):
    """It sets memory aside for a whole file that is mapped to be written to."""
    path = saved(state, tmp_path)
    if "safe_open" in mapping:
        save_file(state, path)

    def refuse(*_given, **_named):
        raise error

    monkeypatch.setattr(mapping, refuse)
    with pytest.raises(MemoryShortageError, match=r"not enough memory for model\.pth"):
        read_tensors(path)
    error.args = ("error code: <5>",)
    with pytest.raises(ModelError, match="damaged"):
        read_tensors(path)
