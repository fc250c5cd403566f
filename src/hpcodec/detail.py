"""Detail: what a smooth guess of a field lacks, in wavelets on the field's own grid <-> bytes.

bands of it, step --Detailer.encode--> bytes; bytes --Detailer.decode--> Detail

Where bytes are many, no network beats a transform that fits the grid: so a field may have its base
field alone from the network's side, and all else as detail. The share of it that relief and coasts
explain, band by band, is told in two numbers a band.

Layout (format 1, little endian)::

    method uint8    2
    flags  uint8    1: steps are larger towards the poles; plus 2: relief is used; plus 4: what
                    it lacks is guessed by a network; plus 8: a network of bands told its code
    step   float32  > 0, in the field's unit
    size   uint32   bytes that follow up to a correction
    by     4 bytes  with such a guess only: the first of the sha256 of the network's weights
    told   4 bytes  with a network of bands only: the first of the sha256 of its weights
    shares float16  with relief only: of orography and of land, for each band but the first
    code            by :mod:`hpcodec.entropy.bands`
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcodec.band_networks import bands_of
from hpcodec.entropy.band_network import BandNetwork
from hpcodec.entropy.bands import decode_bands, encode_bands
from hpcodec.errors import FormatError
from hpcodec.grid import LatLonGrid
from hpcodec.quarters import LEAST
from hpcodec.relief import relief_on
from hpcodec.stages.wavelets import band_rows, band_shapes, from_bands, to_bands

__all__ = ["Detail", "Detailer", "split_detail", "unrestored"]

Doubles = npt.NDArray[np.float64]

_HEAD = struct.Struct("<BBfI")
_METHOD = 2
_BY_AREA, _RELIEF, _RESTORED, _TOLD = 1, 2, 4, 8
_DIGEST = 4  # bytes

# Least cosine of latitude by which steps grow: near the poles no error is to be ten times others.
_POLAR = 0.1

# Squared error, in steps, that a bit has to save: measured on validation fields.
_WORTH = 0.1

# Relief is told if it takes so large a part of the magnitudes, in steps and logarithms, away.
_GAIN = 0.003

# Coefficients of a band by which shares of relief are found, and how often they are weighed anew:
# by what the last shares leave, which on 2 m temperature spares 5 % of the bytes.
_ENOUGH, _ROUNDS = 1 << 15, 6

_MOST = 2.0**27  # of a coefficient over its step


@dataclass(frozen=True, eq=False)
class Detail:
    """A detail as its bytes have it.

    Parameters
    ----------
    symbols : list of ndarray
        Whole numbers of each band, coarse to fine.
    steps : list of ndarray
        What they count, in each row of each band ``(rows, 1)``, in the field's unit.
    known : list of ndarray
        What relief explains of each band, broadcast over it, in the field's unit.
    restorer : bytes
        First of the sha256 of the weights that are to guess what it lacks; none for no guess.
    octave : float
        Logarithm of the step at the equator.
    """

    symbols: list[npt.NDArray[Any]]
    steps: list[Doubles]
    known: list[Doubles]
    restorer: bytes = b""
    octave: float = 0.0

    @property
    def bands(self) -> list[Doubles]:
        """Coefficients in the field's unit."""
        parts = zip(self.symbols, self.steps, self.known, strict=True)
        return [np.asarray(symbols * unit + one) for symbols, unit, one in parts]

    @property
    def values(self) -> Doubles:
        """The detail ``(rows, columns)`` in the field's unit, without a guess of what it lacks."""
        return from_bands(self.bands)


@dataclass(frozen=True, eq=False)
class Detailer:
    """Codes details on a grid.

    Parameters
    ----------
    grid : LatLonGrid
        The grid.
    folder : Path
        Of the model whose static fields say what relief there is.
    """

    grid: LatLonGrid
    folder: Path

    def encode(
        self,
        bands: list[Doubles],
        step: float,
        shares: Doubles | None,
        *,
        by_area: bool,
        restorer: bytes = b"",
        network: BandNetwork | None = None,
    ) -> tuple[bytes, Detail]:
        """Code of a detail, and what it decodes to.

        Parameters
        ----------
        bands : list of ndarray
            Of the detail, from :func:`hpcodec.stages.wavelets.to_bands`, in the field's unit.
        step : float
            Quantisation step, in the field's unit: a float32.
        shares : ndarray or None
            From :meth:`shares`.
        by_area : bool
            Whether an error counts by the area of its point, as it does for an RMSE.
        restorer : bytes
            Sha256 of the weights that are to guess what it lacks; none for no guess.
        network : BandNetwork, optional
            Tells how it is coded: smaller, and slower.
        """
        steps, known = self.steps(step, by_area=by_area), self._explained(shares)
        scaled = [(band - one) / unit for band, one, unit in zip(bands, known, steps, strict=True)]
        scaled = [np.clip(band, -_MOST, _MOST) for band in scaled]
        symbols, code = encode_bands(scaled, _WORTH, network)
        if shares is not None:
            code = shares.astype("<f2").tobytes() + code
        told = bytes.fromhex(network.digest)[:_DIGEST] if network else b""
        code = (by := restorer[:_DIGEST]) + told + code
        flags = _BY_AREA * by_area + _RELIEF * (shares is not None) + _RESTORED * bool(by)
        flags += _TOLD * bool(told)
        head = _HEAD.pack(_METHOD, flags, step, len(code))
        return head + code, Detail(list(symbols), steps, known, by, math.log2(step))

    def decode(self, code: bytes) -> Detail:
        """Detail of a code that :meth:`encode` made.

        Raises
        ------
        FormatError
            If the bytes are none that it makes.
        """
        _, flags, step, _ = _HEAD.unpack_from(code)
        if flags >= 16 or not 0 < step < np.inf:
            raise FormatError(f"expected a detail; got flags {flags} and step {step}. Damaged.")
        rest, shares, by = code[_HEAD.size :], None, b""
        if flags & _RESTORED:
            by, rest = rest[:_DIGEST], rest[_DIGEST:]
            if len(by) < _DIGEST or len(self._shapes) < LEAST:
                raise FormatError("expected a detail that can be restored; got none. Damaged.")
        network = None
        if flags & _TOLD:
            if len(rest) < _DIGEST:
                raise FormatError("expected a detail that a network told; got its head. Damaged.")
            network, rest = bands_of(rest[:_DIGEST]), rest[_DIGEST:]
        if flags & _RELIEF:
            count = 2 * (len(self._shapes) - 1)
            if len(rest) < 2 * count:
                raise FormatError("expected a detail with relief; got its head. It is damaged.")
            shares = np.frombuffer(rest, "<f2", count).astype(np.float64).reshape(-1, 2)
            rest = rest[2 * count :]
        symbols = decode_bands(rest, self._shapes, network)
        steps = self.steps(step, by_area=bool(flags & _BY_AREA))
        return Detail(list(symbols), steps, self._explained(shares), by, math.log2(step))

    def shares(self, bands: list[Doubles], step: float, *, by_area: bool) -> Doubles | None:
        """Shares of orography and land in each band but the first, ``(bands, 2)``.

        None where they save too little. Many small differences count, few large ones do not.
        """
        shares, before, after = [], 0.0, 0.0
        steps = self.steps(step, by_area=by_area)
        for number in range(1, len(bands)):
            every = max(1, bands[number].size // _ENOUGH)
            some = [
                (one[number] / steps[number]).ravel()[::every] for one in (*self._relief, bands)
            ]
            known, wanted = np.stack(some[:-1], 1), some[-1]
            best = _share(known, wanted).astype(np.float16).astype(np.float64)
            shares.append(best)
            before += every * float(np.log1p(wanted**2).sum())
            after += every * float(np.log1p((wanted - known @ best) ** 2).sum())
        return np.array(shares) if after < (1 - _GAIN) * before else None

    def _explained(self, shares: Doubles | None) -> list[Doubles]:
        """What relief explains of each band."""
        nothing = [np.zeros((1, 1)) for _ in self._shapes]
        if shares is None:
            return nothing
        parts = zip(shares, *(one[1:] for one in self._relief), strict=True)
        return nothing[:1] + [a * high + b * land for (a, b), high, land in parts]

    def steps(self, step: float, *, by_area: bool) -> list[Doubles]:
        """Steps of the rows of each band, columns ``(rows, 1)``; see :meth:`encode`."""
        area = np.cos(np.deg2rad(self.grid.latitude)) if by_area else np.ones(self.grid.shape[0])
        by_row = float(np.float32(step)) / np.sqrt(np.maximum(area, _POLAR))
        return [by_row[rows][:, None] for rows in band_rows(self.grid.shape)]

    @cached_property
    def _shapes(self) -> list[tuple[int, int]]:
        return band_shapes(self.grid.shape)

    @cached_property
    def _relief(self) -> tuple[list[Doubles], ...]:
        return tuple(to_bands(field) for field in relief_on(self.folder, self.grid))


def _share(known: Doubles, wanted: Doubles) -> Doubles:
    """Shares ``(2,)`` of columns ``(n, 2)`` that leave little: by reweighted least squares."""
    best, left = np.zeros(2), wanted
    for _ in range(_ROUNDS):
        weights = 1 / (1 + np.abs(left))
        rows = known * weights[:, None]
        square = rows.T @ rows + 1e-9 * np.eye(2)
        found = np.linalg.solve(square, rows.T @ (wanted * weights))
        best = np.clip(np.nan_to_num(found), -6e4, 6e4)
        left = wanted - known @ best
    return best


def unrestored(code: bytes, detail: Detail) -> tuple[bytes, Detail]:
    """The same code and detail, but that nothing is to guess what it lacks."""
    method, flags, step, _ = _HEAD.unpack_from(code)
    rest = code[_HEAD.size + len(detail.restorer) :]
    head = _HEAD.pack(method, flags & ~_RESTORED, step, len(rest))
    return head + rest, replace(detail, restorer=b"")


def split_detail(code: bytes) -> tuple[bytes, bytes]:
    """Codes of a detail and of a correction, either maybe empty, in what a payload ends with.

    Raises
    ------
    FormatError
        If it ends within a detail.
    """
    if not code or code[0] != _METHOD:
        return b"", code
    if len(code) < _HEAD.size or len(code) < (end := _HEAD.size + _HEAD.unpack_from(code)[3]):
        raise FormatError(f"expected a detail; got {len(code)} bytes. The store is damaged.")
    return code[:end], code[end:]
