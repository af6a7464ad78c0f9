"""Loading a checkpoint adds little more than its size to the memory in use, also when every weight has been read."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from repository import MODULE_FOLDER
from SAMUNetSlicerLib.networks.registry import build

if not sys.platform.startswith("linux"):
    pytest.skip("reads /proc", allow_module_level=True)

# Measured: 1.22 times the file for ViT-B (375 MB), 1.07 times for ViT-L (1.2 GB), in either form.
# In a process of its own: memory once taken is seldom given back.
PROGRAM = """
import sys
from pathlib import Path
from SAMUNetSlicerLib.checkpoints.loading import load_network
from SAMUNetSlicerLib.networks import hq_sam, med_sa, sam_med2d, samed, sam_unet  # what imports cost comes before

def resident(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

before = resident("VmRSS")
model = load_network(sys.argv[1], family=sys.argv[2])
total = sum(tensor.sum() for tensor in model.network.state_dict().values())  # every page is touched
print(max(resident("VmHWM"), resident("VmRSS")) - before)
"""


def added_memory(path, family):
    command = [sys.executable, "-c", PROGRAM, str(path), family]
    environment = os.environ | {"PYTHONPATH": str(MODULE_FOLDER)}
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=environment)
    return int(result.stdout)


def write(family, path):
    state = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in build(family).state_dict().items()}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save({"model": state}, path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_sam_vit_b_takes_at_most_1_3_times_its_file(tmp_path, suffix):
    path = tmp_path / f"sam{suffix}"
    write("sam_vit_b", path)
    assert added_memory(path, "sam_vit_b") <= 1.3 * path.stat().st_size


@pytest.mark.slow  # 10 s, but 1.2 GB of disk
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_sam_vit_l_takes_at_most_1_3_times_its_file(tmp_path, suffix):
    path = tmp_path / f"sam{suffix}"
    write("sam_vit_l", path)
    assert path.stat().st_size > 1.2e9
    assert added_memory(path, "sam_vit_l") <= 1.3 * path.stat().st_size
