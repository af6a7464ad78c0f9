"""OpenVINO as what encodes planes on the processor, on its own threads and in a fraction of torch's time."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ...networks.base import Embedding, PromptedNetwork
from ..jobs import CancelledError, Job
from ..shortage import is_shortage
from .encoders import COMPACT, Encoder, Precision, compact


class _FeatureTuple(nn.Module):
    """A network's `encode` as a module with tensors in and out, which is what can be converted."""

    def __init__(self, network: PromptedNetwork, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode(images).features
        return tuple(features[name] for name in self.names)


class OpenVinoEncoder(Encoder):
    """Encodes on the processor in bfloat16 where it has instructions for it, in float32 elsewhere.

    A plane that somebody waits for is computed by all threads together. Of those begun ahead two are under way, each on
    half of the threads: these meet less often, which is faster by what meeting costs (see docs/speed.md).

    Converting takes seconds, so it waits for `prepare` or the first plane.

    kept_as: folder in which the converted network is kept for the next start. That it cannot be kept, or that what is
    kept cannot be read, costs time only.
    """

    def __init__(
        self, network: PromptedNetwork, kept_as: Path | None = None, precision: Precision = Precision.AUTO
    ) -> None:
        self._network = network
        self._kept_as = kept_as
        self._precision = precision
        self._threads = torch.get_num_threads()
        self._source = None
        self._compiled: _Compiled | None = None
        self._compiled_ahead: _Compiled | None = None
        self.planes_ahead = min(_STREAMS, self._threads)
        self.threads_ahead = self._threads // self.planes_ahead

    @property
    def signature(self) -> str:
        return f"openvino {self._hint}" + COMPACT * self._keeps_compact

    @cached_property
    def _hint(self) -> str:
        """OpenVINO's name of the number format."""
        import openvino

        able = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "bf16" if able and self._precision is not Precision.FULL else "f32"

    def prepare(self) -> None:
        if self._compiled is None and not self._compile_kept():
            model = self._convert()
            # Better read again: what is compiled is kept under a name that differs for models in memory.
            if not self._compile_kept():
                self._source = _core(), model
                self._compiled = self._compile(streams=1)

    def prepare_from_kept(self) -> bool:
        """Prepare without converting, which takes well under a second rather than up to a minute, where that is
        possible. What is kept and cannot be read is removed.

        Only what `try_out` has seen work: a fault in what OpenVINO generates would end this process.
        """
        return self._compiled is not None or (self._was_tried_out() and self._compile_kept())

    def try_out(self) -> None:
        """Prepare, encode something, and note beside what is kept that this works here. Needs a folder to keep it."""
        self.prepare_ahead()
        side = self._network.spec.preprocessing.input_size
        self(torch.zeros(1, 3, side, side))
        self.begin(torch.zeros(self.planes_ahead, 3, side, side), ahead=True).result()
        with contextlib.suppress(OSError):  # nothing is kept where nothing can be written
            (self._kept_as / _NOTE_FILE).write_text(self._circumstances(), encoding="utf-8")

    def _was_tried_out(self) -> bool:
        if self._kept_as is None:
            return False
        try:
            return (self._kept_as / _NOTE_FILE).read_text(encoding="utf-8") == self._circumstances()
        except (OSError, UnicodeError):
            return False

    def _circumstances(self) -> str:
        """What decides which code OpenVINO generates."""
        import openvino

        processor = openvino.Core().get_property("CPU", "FULL_DEVICE_NAME")
        return f"OpenVINO {openvino.get_version()}, {self._hint}, {processor}"

    def _compile_kept(self) -> bool:
        if self._kept_as is None or not (self._kept_as / _MODEL_FILE).is_file():
            return False
        core = _core()
        try:
            model = core.read_model(self._kept_as / _MODEL_FILE)
        except RuntimeError as error:
            if is_shortage(error):
                raise
            shutil.rmtree(self._kept_as, ignore_errors=True)
            return False
        # Where this folder may not be written, OpenVINO goes without what it keeps in it.
        core.set_property({"CACHE_DIR": str(self._kept_as)})
        self._source = core, model
        self._compiled = self._compile(streams=1)
        return True

    def prepare_ahead(self) -> None:
        self.prepare()
        if self._compiled_ahead is None:
            self._compiled_ahead = self._compile(self.planes_ahead) if self.planes_ahead > 1 else self._compiled

    def begin(self, images: Tensor, ahead: bool = False) -> Job[Embedding]:
        if not ahead:
            self.prepare()
            return _OpenVinoJob(self._compiled, images, self._kept)
        self.prepare_ahead()
        if self._compiled is not self._compiled_ahead:
            self._compiled.rest()
        return _OpenVinoJob(self._compiled_ahead, images, self._kept)

    @property
    def _keeps_compact(self) -> bool:
        return self._hint == "f32" and self._precision is not Precision.FULL

    def _kept(self, embedding: Embedding) -> Embedding:
        if self._hint == "bf16":
            return embedding.to(torch.bfloat16)
        return compact(embedding) if self._keeps_compact else embedding

    def _compile(self, streams: int) -> _Compiled:
        options = {
            "INFERENCE_PRECISION_HINT": self._hint,
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": streams,
        }
        if self._hint == "f32":
            # The code that OpenVINO generates for group norms in it ends the process (2025.0 to 2026.4), on processors
            # with AVX2 while it compiles. Its other code for them is as fast.
            options["SNIPPETS_MODE"] = "DISABLE"
        core, model = self._source
        return _Compiled(core.compile_model(model, "CPU", options))

    def _convert(self):
        import openvino

        side = self._network.spec.preprocessing.input_size
        example = torch.zeros(1, 3, side, side)
        with torch.no_grad(), warnings.catch_warnings():
            # Tracing warns of what is fixed here: size and number of the pictures.
            warnings.simplefilter("ignore")
            names = tuple(self._network.encode(example).features)
            wrapped = _FeatureTuple(self._network, names).eval()
            model = openvino.convert_model(wrapped, example_input=example)
        model.reshape([*example.shape])  # a number left open costs a twentieth of the time
        for port, name in zip(model.outputs, names, strict=True):
            port.get_tensor().set_names({name})
        if self._kept_as is not None:
            _keep(model, self._kept_as)
        return model


class _Compiled:
    """A compiled network and its requests, which serve again: making one may wait for all that is under way."""

    def __init__(self, model) -> None:
        self._model = model
        self._idle, self._in_use = [], 0
        self._holds_memory = False

    def request(self):
        """One that nobody uses, until it is given back."""
        self._in_use += 1
        self._holds_memory = True
        return self._idle.pop() if self._idle else self._model.create_infer_request()

    def give_back(self, request) -> None:
        self._in_use -= 1
        self._idle.append(request)

    def rest(self) -> None:
        """Give back what requests compute in, 40 to 80 MB, where none is under way. The next one takes it again."""
        if self._holds_memory and not self._in_use:
            self._model.release_memory()
            self._holds_memory = False


class _OpenVinoJob(Job[Embedding]):
    """One request a plane: they are cheap, and OpenVINO computes as many of them at a time as it has streams."""

    def __init__(self, compiled: _Compiled, images: Tensor, kept: Callable[[Embedding], Embedding]) -> None:
        """kept: how an embedding is kept."""
        self._compiled = compiled
        self._kept = kept
        self._embedding: Embedding | None = None
        self._cancelled = False
        # The requests read this memory until they are over.
        self._images = images.contiguous()
        self._requests = [compiled.request() for _ in images]
        for request, image in zip(self._requests, self._images.split(1), strict=True):
            request.start_async([image.numpy()])

    def poll(self) -> bool:
        return self._cancelled or all(map(_is_over, self._requests))

    def result(self) -> Embedding:
        if self._cancelled:
            raise CancelledError
        if self._embedding is None:
            self._embedding = Embedding.concatenate([self._answer(request) for request in self._requests])
            self._let_go()
        return self._embedding

    def cancel(self) -> None:
        if self._cancelled:
            return
        if self.poll():
            with contextlib.suppress(RuntimeError):  # what went wrong is raised by `result`
                self.result()  # its requests serve others meanwhile
            return
        self._cancelled = True
        for request in self._requests:
            request.cancel()
        for request in self._requests:
            with contextlib.suppress(RuntimeError):  # which says that it was cancelled
                request.wait()
        self._let_go()

    def _let_go(self) -> None:
        while self._requests:
            self._compiled.give_back(self._requests.pop())

    def _answer(self, request) -> Embedding:
        request.wait()
        outputs = {port.any_name: request.get_tensor(port).data for port in request.model_outputs}
        kept = self._kept(Embedding({name: torch.from_numpy(v) for name, v in outputs.items()}))
        # Copied where it is not yet: the memory is the request's.
        return Embedding({n: t.clone() if t.dtype is torch.float32 else t for n, t in kept.features.items()})


def _is_over(request) -> bool:
    # What went wrong is raised by `result`.
    with contextlib.suppress(RuntimeError):
        return request.wait_for(0)
    return True


_MODEL_FILE = "encoder.xml"
_NOTE_FILE = "works-with.txt"
_STREAMS = 2


def _core():
    import openvino

    return openvino.Core()


def _keep(model, folder: Path) -> None:
    """Write the converted model whole or not at all; another process may do the same at the same time.

    Where nothing can be written, or the other process was faster, nothing is kept.
    """
    import openvino

    # RuntimeError is what OpenVINO says of a full disk.
    with contextlib.suppress(OSError, RuntimeError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-", ignore_cleanup_errors=True) as temporary:
            new = Path(temporary) / "model"
            openvino.save_model(model, new / _MODEL_FILE, compress_to_fp16=False)
            new.rename(folder)
