"""How to compress: what a call of ``hpcodec compress`` may ask for, checked before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hpcodec.errors import UsageError
from hpcodec.targets import check_bound, check_ratio, check_rmse

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """How to compress.

    Parameters
    ----------
    ratio : float, optional
        Bytes of the fields as float32 over bytes of the whole store, at least; 4 to 4096. By
        default 64, or with bounds as large as they allow. Given with bounds, it says how finely
        the fields are coded, and corrections come on top.
    rmse : mapping of str to float
        In place of a ratio: root of the mean square error of each field at most, weighted by cos
        latitude, by variable in its unit; that of ``hpcodec.targets.ALL`` for all others.
    max_error, max_rel_error : mapping of str to float
        Bound on the error of every point, by variable, as ``rmse``: in its unit, or relative to
        the range of each field.
    model : str
        Name of a model; empty for the one that suits each variable.
    level : int, optional
        HEALPix level to remap to; the source's own by default.
    bottleneck : int, optional
        Finest level to code; what the validation fields say is best by default.
    remap : str
        Method of :mod:`hpcodec.stages.healpix`.
    device : str
        Torch device, or ``auto``.
    batch : int
        Fields at a time.
    memory : int, optional
        Bytes that a process may take, as an estimate: the batch is as large as that allows.
    shard : int, optional
        Fields that share an object, about; 0 for an object to each chunk. By default some
        hundred, where a variable has more than a hundred.
    key_every : int
        Code so many consecutive fields of the first axis together, each from the one before.
    base : bool, optional
        Whether the store also has its base fields for readers without hpcodec; by default, where
        they take at most a fiftieth of it, and no error is asked for.
    effort : int
        1 to refine the symbols of each field: fewer bytes for the same error, ten times the time.
    exponent : float, optional
        Power that values are raised to before they are coded; that of the variable by default.
    """

    ratio: float | None = None
    rmse: Mapping[str, float] = field(default_factory=dict)
    max_error: Mapping[str, float] = field(default_factory=dict)
    max_rel_error: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    level: int | None = None
    bottleneck: int | None = None
    remap: str = "least_squares"
    device: str = "auto"
    batch: int = 4
    memory: int | None = None
    shard: int | None = None
    key_every: int = 1
    base: bool | None = None
    effort: int = 0
    exponent: float | None = None

    def __post_init__(self) -> None:
        if self.ratio is not None:
            check_ratio(self.ratio)
        for bound in (*self.max_error.values(), *self.max_rel_error.values()):
            check_bound(bound)
        for rmse in self.rmse.values():
            check_rmse(rmse)
        if self.batch < 1:
            raise UsageError(f"expected at least one field in a batch; got {self.batch}.")
        if self.shard is not None and self.shard < 0:
            raise UsageError(f"expected fields to share an object, or 0; got {self.shard}.")
        if self.key_every < 1:
            raise UsageError(f"expected a key field every 1 or more; got {self.key_every}.")
        if self.effort not in (0, 1):
            raise UsageError(f"expected an effort of 0 or 1; got {self.effort}.")

    @property
    def bounded(self) -> bool:
        """Whether errors of points have bounds."""
        return bool(self.max_error or self.max_rel_error)
