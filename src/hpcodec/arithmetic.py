"""The arithmetic of networks: float32 throughout, whatever the process has chosen.

What a payload decodes to may move by the rounding of float32 between machines, and by no more: a
bound on the error of points reserves that much (:mod:`hpcodec.correction`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["plain_float32"]

# Torch uses all cores for one batch; two at a time would only take more memory.
_ONE = threading.Lock()


@contextmanager
def plain_float32(device: str) -> Iterator[None]:
    """Run networks one at a time, with neither TF32 nor automatic casts.

    Parameters
    ----------
    device : str
        Torch's name of the device that they run on.
    """
    import torch

    with _ONE, torch.autocast(torch.device(device).type, enabled=False):
        precision, tf32 = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = tf32
            torch.set_float32_matmul_precision(precision)
