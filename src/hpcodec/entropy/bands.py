"""Symbols of the bands of a wavelet transform <-> bytes, counted along the way.

coefficients over their step --encode_bands--> symbols, bytes --decode_bands--> symbols

Each band is coded in four passes, a quarter of its places each. How large a symbol is likely to be,
and with a network which sign it has, follows from symbols around it that are decoded: of its own
band, of the bands of the same halving, and of coarser ones. What symbols of such surroundings were
is counted. All is whole numbers, so that every machine decodes the same.

Layout (format 1, little endian)::

    size    uint16   mean magnitude of the coarsest details
    length  uint32   bytes of the code of the means
    means   their symbols, coded by :mod:`hpcodec.integers`
    details range code
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.entropy.band_activity import BandActivity
from hpcodec.entropy.band_counts import Counts
from hpcodec.entropy.band_network import BandNetwork, BandPlans
from hpcodec.entropy.band_places import BANDS, PASSES
from hpcodec.entropy.choice import choose
from hpcodec.entropy.coding import Decoder, RangeEncoder, decode_planned, encode_planned
from hpcodec.entropy.tables import Plan, Tables
from hpcodec.errors import FormatError
from hpcodec.integers import decode_integers, encode_integers

__all__ = ["decode_bands", "encode_bands"]

Integers = npt.NDArray[np.int32]
Turned = npt.NDArray[np.bool_] | None

_HEAD = struct.Struct("<HI")
_LARGE = 1 << 16

_PART = 8192  # symbols between one look at the counts and the next


class _Coder(ABC):
    """Goes over the passes; what to do with the symbols of one is up to encoder and decoder."""

    def __init__(
        self,
        means: Integers,
        shapes: Sequence[tuple[int, int]],
        size: int,
        network: BandNetwork | None,
    ) -> None:
        self.symbols = [means, *(np.zeros(shape, np.int32) for shape in shapes[1:])]
        self._plans = (
            BandPlans(network, self.symbols) if network else BandActivity(self.symbols, size)
        )

    @abstractmethod
    def take(
        self, number: int, phase: int, part: slice, plan: Plan, turned: Turned, tables: Tables
    ) -> Integers:
        """Symbols of a part of a pass; encoding, from coefficients, and decoding, from bytes.

        As they are coded: those that are turned have the other sign.
        """

    def run(self) -> None:
        """All passes of all bands but the means, in their order."""
        counts = Counts(self._plans.expected, self._plans.sure)
        for number, band in enumerate(self.symbols[1:], 1):
            for phase, (row, column) in enumerate(PASSES):
                places = band[row::2, column::2]
                whole, turned = self._plans.plan(number, phase)
                taken = np.zeros(places.size, np.int32)
                for start in range(0, places.size, _PART):
                    part = slice(start, start + _PART)
                    plan = Plan(whole.table[part], whole.plain[part])
                    taken[part] = self.take(
                        number,
                        phase,
                        part,
                        plan,
                        None if turned is None else turned[part],
                        counts.tables(),
                    )
                    counts.learn(taken[part], plan)
                places[:] = _turned(taken, turned).reshape(places.shape)


def _turned(values: npt.NDArray[Any], turned: Turned) -> npt.NDArray[Any]:
    return values if turned is None else np.where(turned, -values, values)


class _Encoder(_Coder):
    def __init__(
        self,
        means: Integers,
        bands: Sequence[npt.NDArray[Any]],
        size: int,
        worth: float,
        network: BandNetwork | None,
    ) -> None:
        shapes = [(band.shape[0], band.shape[1]) for band in bands]
        super().__init__(means, shapes, size, network)
        self.coder, self._bands, self._worth = RangeEncoder(), bands, worth

    def take(
        self, number: int, phase: int, part: slice, plan: Plan, turned: Turned, tables: Tables
    ) -> Integers:
        row, column = PASSES[phase]
        scaled = _turned(self._bands[number][row::2, column::2].reshape(-1)[part], turned)
        symbols = choose(np.asarray(scaled, np.float32), plan, tables, self._worth)
        encode_planned(self.coder, symbols, plan, tables)
        return symbols


class _Decoder(_Coder):
    def __init__(
        self,
        means: Integers,
        shapes: Sequence[tuple[int, int]],
        size: int,
        code: bytes,
        network: BandNetwork | None,
    ) -> None:
        super().__init__(means, shapes, size, network)
        self.coder = Decoder(code)

    def take(
        self, number: int, phase: int, part: slice, plan: Plan, turned: Turned, tables: Tables
    ) -> Integers:
        return decode_planned(self.coder, plan, tables)


def encode_bands(
    bands: Sequence[npt.NDArray[np.floating]], worth: float, network: BandNetwork | None = None
) -> tuple[list[Integers], bytes]:
    """Symbols of coefficients over their step, and their code.

    Parameters
    ----------
    bands : sequence of ndarray
        As :func:`hpcodec.stages.wavelets.to_bands` gives them, over their step, magnitudes below
        2**28.
    worth : float
        Squared error, in steps, that a bit has to save.
    network : BandNetwork, optional
        Tells what symbols are like; without it, fixed weights do.
    """
    means = np.rint(bands[0]).astype(np.int32)
    coarsest = [float(np.abs(band).mean()) for band in bands[1 : 1 + BANDS]]
    size = int(np.clip(np.mean(coarsest), 0, _LARGE - 1)) if coarsest else 0
    encoder = _Encoder(means, bands, size, worth, network)
    encoder.run()
    code = encode_integers(means)
    rest = bytes(encoder.coder.get_compressed().astype("<u4").tobytes())
    return encoder.symbols, _HEAD.pack(size, len(code)) + code + rest


def decode_bands(
    code: bytes, shapes: Sequence[tuple[int, int]], network: BandNetwork | None = None
) -> list[Integers]:
    """Inverse of :func:`encode_bands`: symbols of bands of these shapes.

    Raises
    ------
    FormatError
        If the bytes are none that it makes.
    """
    size, length = _HEAD.unpack_from(code) if len(code) >= _HEAD.size else (0, len(code))
    if (at := _HEAD.size + length) > len(code):
        raise FormatError(f"expected code of bands; got {len(code)} bytes. The store is damaged.")
    means = decode_integers(code[_HEAD.size : at], shapes[0])
    decoder = _Decoder(means, shapes, size, code[at:], network)
    decoder.run()
    decoder.coder.finish()
    return decoder.symbols
