"""One training step's losses and gradients: eager on a CPU, replayed as a graph on a GPU.

The network is thousands of small operations; launching them one by one would leave a GPU idle
most of the time. A graph is captured once for each combination of levels that is drawn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hpcodec.grid import BASE_LEVEL
from hpcodec.networks.field_space import FieldSpaceAutoencoder, Setting
from hpcodec.networks.sphere import pad_isolated, pad_sphere
from hpcodec.train.fields import Batch
from hpcodec.train.losses import Losses, autoencode

__all__ = ["Backward"]


@dataclass(frozen=True)
class _Key:
    """What a captured graph is good for."""

    level: int
    bottleneck: int
    given: int
    count: int


class Backward:
    """Losses of a batch, their gradients left in the network's parameters.

    Parameters
    ----------
    network : FieldSpaceAutoencoder
        Its parameters' gradients are overwritten by every call.
    """

    def __init__(self, network: FieldSpaceAutoencoder) -> None:
        self._network = network
        self._graphs: dict[_Key, Callable[[Batch, Setting], Losses]] = {}
        self._pool = torch.cuda.graph_pool_handle() if torch.cuda.is_available() else None
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self._gradients = [p.grad for p in network.parameters() if p.grad is not None]

    def __call__(self, batch: Batch, setting: Setting, given: int) -> Losses:
        """Losses of ``batch``, shown to the encoder at level ``given``."""
        if batch.field.device.type != "cuda":
            return self._eager(batch, setting, given)
        key = _Key(batch.level, setting.bottleneck, given, len(batch.field))
        if key not in self._graphs:
            self._graphs[key] = self._capture(batch, setting, given)
        return self._graphs[key](batch, setting)

    def _eager(self, batch: Batch, setting: Setting, given: int) -> Losses:
        torch._foreach_zero_(self._gradients)
        whole = batch.field.shape[1] > 1
        levels = range(BASE_LEVEL + 1 if whole else batch.level - 1, batch.level + 1)
        with _autocast(batch.field.device):
            losses = autoencode(
                self._network,
                batch.field,
                _pyramid(batch.statics, levels),
                setting,
                pad_sphere if whole else pad_isolated,
                levels=levels,
                given=given,
            )
        torch.autograd.backward(losses.loss)
        return losses

    def _capture(
        self, batch: Batch, setting: Setting, given: int
    ) -> Callable[[Batch, Setting], Losses]:
        inputs = [t.clone() for t in (batch.field, batch.statics, batch.variable, setting.step)]
        field, statics, variable, step = inputs
        own_batch = Batch(batch.level, field, statics, variable)
        own_setting = Setting(variable, step, setting.bottleneck)
        stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):  # libraries choose their kernels before the capture
                self._eager(own_batch, own_setting, given)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # One pool for all graphs: each computes everything anew, and what it gives is copied.
        with torch.cuda.graph(graph, pool=self._pool):
            losses = self._eager(own_batch, own_setting, given)

        def replay(batch: Batch, setting: Setting) -> Losses:
            fresh = (batch.field, batch.statics, batch.variable, setting.step)
            for own, new in zip(inputs, fresh, strict=True):
                own.copy_(new)
            graph.replay()
            return Losses(losses.rate.clone(), losses.error.clone(), losses.total.clone())

        return replay


def _autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Bfloat16 products, which every processor of the last years multiplies faster."""
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=device.type == "cpu")


def _pyramid(statics: Tensor, levels: range) -> dict[int, Tensor]:
    """Static fields ``(n, 3, F, side, side)`` averaged to all ``levels`` and one below."""
    pyramid = {levels[-1]: statics}
    for level in reversed(levels):
        coarser = functional.avg_pool2d(pyramid[level].flatten(1, 2), 2)
        pyramid[level - 1] = torch.unflatten(coarser, 1, statics.shape[1:3])
    return pyramid
