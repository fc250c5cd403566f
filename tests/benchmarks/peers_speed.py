"""How fast the classical codecs are at a ratio: in memory, once loaded, the fastest of some calls.

field, ratio --speeds_of_peers--> name, ratio, MB/s of encoding and decoding
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial

from hpcodec.bench.case import Case
from hpcodec.bench.codecs import Codec
from hpcodec.bench.peers import jpeg2000, sperr, sz3, zfp

__all__ = ["speeds_of_peers"]

_PEERS = {"jpeg2000": jpeg2000, "sz3": sz3, "sperr": sperr, "zfp": zfp}
_CALLS = 3


def speeds_of_peers(case: Case, ratio: float) -> Iterator[tuple[str, float, float, float]]:
    """Name, ratio, and MB of float32 a second there and back, of each peer.

    The ratio is the one of its sweep that comes nearest.
    """
    for name, build in _PEERS.items():
        codec = build(case)
        parameter, code = _nearest(codec, case, ratio)
        calls = partial(codec.encode, case.filled, parameter), partial(codec.decode, code)
        encode, decode = (case.raw_bytes / 1e6 / _fastest(call) for call in calls)
        yield name, case.raw_bytes / len(code), encode, decode


def _nearest(codec: Codec, case: Case, ratio: float) -> tuple[float, bytes]:
    """The parameter whose ratio is nearest, and its bytes."""
    low, high, codes = 0, len(codec.sweep) - 1, dict[int, bytes]()

    def octaves(at: int) -> float:
        if at not in codes:
            codes[at] = codec.encode(case.filled, codec.sweep[at])
        return math.log2(case.raw_bytes / len(codes[at]) / ratio)

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if octaves(middle) > 0 else (middle, high)
    best = min((low, high), key=lambda at: abs(octaves(at)))
    return codec.sweep[best], codes[best]


def _fastest(call: Callable[[], object]) -> float:
    times = []
    for _ in range(_CALLS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
