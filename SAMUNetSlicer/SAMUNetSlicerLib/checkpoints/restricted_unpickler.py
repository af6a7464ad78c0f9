"""Reads the pickle inside a torch checkpoint without executing anything that it names.

Published trainers pickle whole optimizer objects beside their weights; torch's own `weights_only` loading refuses
such files. Here every class or function other than torch's tensor builders becomes an `Inert` placeholder.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

# (storage number in the archive, dtype, number of elements) to a flat tensor over it
StorageReader = Callable[[str, torch.dtype, int], Tensor]

_STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

# What torch writes (pickle protocol 2), and nothing that could reserve memory by a number alone.
_OPCODES = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
    *("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS"),
    *("BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD", "BINPERSID"),
)


class Inert:
    """Takes the place of any class that is not a tensor, and lets a pickle do nothing to it."""

    __slots__ = ()

    def __new__(cls, *_arguments: Any, **_named: Any) -> Inert:
        return super().__new__(cls)

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Ignored."""

    def extend(self, items: Any) -> None:
        """Ignored."""

    def update(self, items: Any) -> None:
        """Ignored."""


def _view(flat: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_rest: Any) -> Tensor:
    """What torch's `_rebuild_tensor_v2` makes, with every number checked first."""
    numbers = (offset, *size, *stride)
    if not isinstance(flat, Tensor) or len(size) != len(stride) or any(type(n) is not int or n < 0 for n in numbers):
        raise pickle.UnpicklingError("a tensor's shape is not one")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= flat.numel():
        raise pickle.UnpicklingError("a tensor reaches beyond its data")
    # Overlapping steps (as `expand` makes them) would let a small file claim an endless tensor.
    elements = 1
    for n in size:
        elements *= n
    if elements > flat.numel():
        raise pickle.UnpicklingError("a tensor is larger than its data")
    return flat.as_strided(size, stride, offset + flat.storage_offset())


def _parameter(data: Tensor, *_rest: Any) -> Tensor:
    return data


def _mapping(*arguments: Any) -> dict:
    return dict(*arguments)


class RestrictedUnpickler(pickle._Unpickler):
    """Python's own pure-Python unpickler, which a hostile file cannot make reserve memory, with fewer opcodes.

    Tensors become views of what `read_storage` returns. Every other object becomes `Inert`, or loses its state.
    """

    def __init__(self, data: bytes, read_storage: StorageReader) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._read_storage = read_storage

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _view
        if module == "torch._utils" and name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
            return _parameter
        if (module, name) == ("collections", "OrderedDict"):
            return _mapping
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        return Inert

    def persistent_load(self, pid: Any) -> Tensor:
        """A storage: ("storage", type, number in the archive, device, elements)."""
        kind, dtype, number, _device, elements = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or type(elements) is not int or elements < 0:
            raise pickle.UnpicklingError("a storage of an unknown kind")
        return self._read_storage(number, dtype, elements)

    def load_build(self) -> None:
        """An object's own state (an optimizer's, a dict's attributes) is dropped."""
        self.stack.pop()

    dispatch: ClassVar[dict] = {
        code: handler
        for name in _OPCODES
        for code, handler in pickle._Unpickler.dispatch.items()
        if code == getattr(pickle, name)[0]
    } | {pickle.BUILD[0]: load_build}
