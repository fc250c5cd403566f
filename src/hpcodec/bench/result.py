"""What a bench found on one field."""

from __future__ import annotations

from dataclasses import dataclass

from hpcodec.bench.case import Case
from hpcodec.bench.measure import Curve
from hpcodec.bench.ours import StorePoint

__all__ = ["Result"]


@dataclass(frozen=True, eq=False)
class Result:
    """All curves on one field.

    Parameters
    ----------
    case : Case
        The field.
    curves : tuple of Curve
        One for each codec, in the order of the recipes.
    stores : tuple of StorePoint
        Whole stores of ours, one for each ratio that was asked for.
    """

    case: Case
    curves: tuple[Curve, ...]
    stores: tuple[StorePoint, ...] = ()
