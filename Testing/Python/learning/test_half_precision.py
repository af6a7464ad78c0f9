import pytest
import torch

from SAMUNetSlicerLib.learning import half_precision
from SAMUNetSlicerLib.learning.settings import ForwardPrecision


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("wanted", ForwardPrecision)
def test_half_precision_is_used_where_it_is_wanted_and_the_hardware_computes_with_it(monkeypatch, able, wanted):
    monkeypatch.setattr(half_precision, "computes_in_bfloat16", lambda device: able)
    a, b = torch.ones(2, 2), torch.ones(2, 2)
    with half_precision.autocast(torch.device("cpu"), wanted):
        is_half = (a @ b).dtype == torch.bfloat16
    assert is_half == (able and wanted is ForwardPrecision.BFLOAT16)
