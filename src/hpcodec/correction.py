"""Correction: what decoding leaves of a field on its own grid <-> bytes, so that a bound holds.

field, decoded, bound --correction_for--> bytes        decoded, bytes --corrected--> field

A difference is rounded to a whole number of steps of twice the bound, less a reserve: most are 0.

Layout (format 1, little endian)::

    method   uint8    1: steps coded by :mod:`hpcodec.integers`
    step     float32  > 0, in the field's unit
    code
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from hpcodec.errors import FormatError, UsageError
from hpcodec.integers import decode_integers, encode_integers

__all__ = ["corrected", "correction_for", "read_correction", "reserve"]

Floats = npt.NDArray[np.float32]

_HEAD = struct.Struct("<Bf")
_INTEGERS = 1

_SPREAD = 2.0**-12
_SPACINGS = 16
_LARGEST = 1 << 28


def reserve(values: npt.NDArray[np.floating], scale: float) -> float:
    """What is kept of a bound for decoding elsewhere, in the field's unit.

    Another device, thread count or batch adds in another order: the decoded field moves by some
    spacings of float32, of the values and of the network's own numbers, of which one is ``scale``.
    It also covers the rounding of a field that is not float32.

    Parameters
    ----------
    values : ndarray
        The field; what is not finite does not count.
    scale : float
        Of the field's normalisation.
    """
    finite = np.abs(values[np.isfinite(values)])
    largest = np.float32(finite.max(initial=0))
    return _SPREAD * scale + _SPACINGS * float(np.spacing(largest))


def correction_for(
    values: npt.NDArray[np.floating], decoded: Floats, bound: float, scale: float
) -> bytes:
    """Bytes of the correction of a field; none where it is within the bound without.

    Parameters
    ----------
    values, decoded : ndarray
        ``(rows, columns)``, the field and what it decodes to, in its unit. Where ``values`` are
        not finite nothing is corrected.
    bound : float
        Largest error that a point may have; 0 for none at all.
    scale : float
        Of the field's normalisation.

    Raises
    ------
    UsageError
        If the bound is smaller than twice the reserve, and the field is not exact.
    """
    error = np.where(np.isfinite(values), values.astype(np.float64) - decoded, 0.0)
    most = float(np.abs(error).max())
    if most == 0:
        return b""
    kept = reserve(values, scale)
    if not bound >= 2 * kept:
        raise UsageError(
            f"expected a bound of at least {2 * kept:.3g}, twice what decoding on another machine "
            f"may differ by; got {bound:.3g}. Ask for a larger maximum error."
        )
    if most <= bound - kept:
        return b""
    # Rounded down: half a step is never more than what the bound leaves.
    step = np.nextafter(np.float32(2 * (bound - kept)), np.float32(0))
    if most / float(step) >= _LARGEST:
        raise UsageError(
            f"expected a bound that float32 can keep; got {bound:.3g} for errors of {most:.3g}. "
            "Ask for a larger maximum error."
        )
    steps = np.rint(error / float(step)).astype(np.int32)
    return _HEAD.pack(_INTEGERS, step) + encode_integers(steps)


def read_correction(code: bytes, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """What is to be added to a decoded field ``(rows, columns)``, in its unit.

    Raises
    ------
    FormatError
        If the bytes are none that :func:`correction_for` makes.
    """
    if not code:
        return np.zeros(shape)
    if len(code) < _HEAD.size:
        raise FormatError(f"expected a correction; got {len(code)} bytes. The store is damaged.")
    method, step = _HEAD.unpack_from(code)
    if method != _INTEGERS or not 0 < step < np.inf:
        raise FormatError(
            f"expected a correction by method {_INTEGERS}, and a step above 0; got method {method} "
            f"and {step}. Read it with a newer hpcodec, or the store is damaged."
        )
    steps = decode_integers(code[_HEAD.size :], shape)
    return np.asarray(steps * float(step), np.float64)


def corrected(decoded: Floats, code: bytes) -> Floats:
    """A decoded field ``(rows, columns)`` with its correction: added in float64, then rounded."""
    if not code:
        return decoded
    rows, columns = decoded.shape
    with np.errstate(over="ignore"):
        fields = np.asarray(decoded + read_correction(code, (rows, columns)), np.float32)
    if not np.isfinite(fields).all():
        raise FormatError("expected finite fields; got others. The store is damaged.")
    return fields
