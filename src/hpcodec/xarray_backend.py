"""Stores as xarray opens them: ``xr.open_dataset("era5.zarr", engine="hpcodec", level=6)``.

    store --skeleton, lazy fields--> raw dataset --decode_cf--> dataset
    index --read what the level needs--> payloads --decode--> values

Opening reads metadata and coordinates. A field is read and decoded when a value of it is asked
for, and no other with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from hpcodec.errors import UsageError

if TYPE_CHECKING:
    from hpcodec.picks import Pick
    from hpcodec.stages.zarr_store import Store

__all__ = ["StoreBackend", "open_pyramid"]

_BATCH = 4  # fields decoded at a time, where many are asked for at once


class StoreBackend(BackendEntrypoint):
    """Engine ``hpcodec`` of xarray, found by its entry point and by what a store says of itself."""

    description = "Fields that hpcodec has compressed, on their grid or HEALPix cells of any level"
    url = "https://github.com/hpcodec/hpcodec"
    supports_groups: ClassVar[bool] = True
    # xarray finds them out itself only where it finds the engine by its entry point.
    open_dataset_parameters = (
        *("mask_and_scale", "decode_times", "concat_characters", "decode_coords"),
        *("drop_variables", "decode_timedelta", "level", "grid", "sharp", "device"),
    )

    def guess_can_open(self, filename_or_obj: object) -> bool:
        """Whether there is an hpcodec store; of URLs, only such as end in ``.zarr`` are asked."""
        try:
            return "hpcodec" in json.loads(_metadata(_path(filename_or_obj)))["attributes"]
        except Exception:  # whatever it is, it is not ours: another engine says what is wrong
            return False

    def open_dataset(
        self,
        filename_or_obj: object,
        *,
        mask_and_scale: bool = True,
        decode_times: bool = True,
        concat_characters: bool = True,
        decode_coords: bool = True,
        drop_variables: str | Iterable[str] | None = None,
        decode_timedelta: bool | None = None,
        level: int | None = None,
        grid: str = "source",
        sharp: bool = False,
        device: str = "auto",
    ) -> xr.Dataset:
        """Dataset of a store, its fields lazy; called by :func:`xarray.open_dataset`.

        Parameters
        ----------
        filename_or_obj : str or path
            The store: a folder or any fsspec URL.
        mask_and_scale, decode_times, concat_characters, decode_coords, decode_timedelta
            As for :func:`xarray.open_dataset`.
        drop_variables : str or iterable of str, optional
            Names to leave out.
        level : int, optional
            HEALPix level of the fields; the source grid without.
        grid : str
            ``source``, unless ``level`` is given; or another, such as ``0.25``, ``n320``, ``o320``.
        sharp : bool
            With the power of the original on every level, at the price of larger errors.
        device : str
            Torch device, or ``auto``.

        Raises
        ------
        HpcodecError
            For whatever is wrong with the store or the options.
        """
        from hpcodec.stages.zarr_store import open_store

        store = open_store(_path(filename_or_obj))
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        raw = _raw(store, dropped, level, grid, sharp=sharp, device=device)
        raw.set_close(_nothing_to_close)
        return xr.decode_cf(
            raw,
            concat_characters=concat_characters,
            mask_and_scale=mask_and_scale,
            decode_times=decode_times,
            decode_coords=decode_coords,
            decode_timedelta=decode_timedelta,
        )

    def open_groups_as_dict(
        self,
        filename_or_obj: object,
        *,
        drop_variables: str | Iterable[str] | None = None,
        levels: Sequence[int] | None = None,
        sharp: bool = False,
        device: str = "auto",
        **decoders: Any,  # noqa: ANN401
    ) -> dict[str, xr.Dataset]:
        """Datasets of :func:`open_pyramid`, by level; called by :func:`xarray.open_groups`."""
        from hpcodec.grid import BASE_LEVEL
        from hpcodec.stages.zarr_store import open_store

        if levels is None:
            codings = [v.coding for v in open_store(_path(filename_or_obj)).variables.values()]
            levels = range(BASE_LEVEL, max(coding.level for coding in codings) + 1)
        return {
            f"/{level}": self.open_dataset(
                filename_or_obj,
                drop_variables=drop_variables,
                level=level,
                sharp=sharp,
                device=device,
                **decoders,
            )
            for level in levels
        }

    def open_datatree(
        self,
        filename_or_obj: object,
        **options: Any,  # noqa: ANN401
    ) -> xr.DataTree:
        """Tree of :func:`open_pyramid`; called by :func:`xarray.open_datatree`."""
        return xr.DataTree.from_dict(self.open_groups_as_dict(filename_or_obj, **options))


def open_pyramid(
    store: str | os.PathLike[str],
    *,
    levels: Sequence[int] | None = None,
    sharp: bool = False,
    device: str = "auto",
    **options: Any,  # noqa: ANN401
) -> xr.DataTree:
    """Fields of a store on HEALPix cells of several levels, lazy: a tree with a node for each.

    Parameters
    ----------
    store : str or path
        A folder or any fsspec URL.
    levels : sequence of int, optional
        Which; by default from 3 to the level that the fields were remapped to.
    sharp, device
        As for :meth:`StoreBackend.open_dataset`.
    **options
        As for :func:`xarray.open_datatree`: ``chunks={}``, ``drop_variables`` and others.

    Returns
    -------
    DataTree
        ``tree["6"]`` is what ``xr.open_dataset(store, engine="hpcodec", level=6)`` gives.

    Raises
    ------
    HpcodecError
        For whatever is wrong with the store or the options.
    """
    return xr.open_datatree(
        os.fspath(store), engine=StoreBackend, levels=levels, sharp=sharp, device=device, **options
    )


class _Fields(BackendArray):
    """Values of a compressed variable, decoded when they are asked for. It can be pickled."""

    def __init__(self, store: Store, pick: Pick, *, sharp: bool, device: str) -> None:
        like = pick.output(())
        self.shape, self.dtype = like.shape, np.dtype(like.dtype).newbyteorder("=")
        self._store, self._pick, self._sharp, self._device = store, pick, sharp, device

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        """Values at a place, a slice or an array of places along each axis."""
        leading = len(self._pick.variable.leading_shape)
        axes = [_places(*one) for one in zip(key[:leading], self.shape[:leading], strict=True)]
        chosen = np.ravel_multi_index(np.ix_(*axes), self.shape[:leading]) if axes else np.zeros(())
        steps = chosen.ravel().astype(int).tolist()
        horizontal = (slice(None), *key[leading:])
        parts = [_outer(np.empty((0, *self.shape[leading:]), self.dtype), horizontal)]
        batch = max(_BATCH, self._pick.variable.coding.key_every)
        for start in range(0, len(steps), batch):
            payloads = [
                self._store.read(self._pick.variable, step, self._pick.needed)
                for step in steps[start : start + batch]
            ]
            fields = self._pick.decode(payloads, self._device, self._sharp)
            parts.append(_outer(fields, horizontal))
        values = np.concatenate(parts)
        kept = [
            axis.size
            for axis, one in zip(axes, key, strict=False)
            if isinstance(one, slice | np.ndarray)
        ]
        return values.reshape((*kept, *values.shape[1:]))


def _places(key: Any, size: int) -> npt.NDArray[np.int64]:  # noqa: ANN401
    """Those along an axis that a place, a slice or an array of places means."""
    if isinstance(key, slice):
        return np.arange(*key.indices(size))
    places = np.atleast_1d(np.asarray(key, np.int64))
    return np.where(places < 0, places + size, places)


def _outer(values: npt.NDArray[Any], key: tuple[Any, ...]) -> npt.NDArray[Any]:
    """``values`` at a key that is of one axis each; axes with a single place go."""
    for axis in reversed(range(len(key))):
        values = values[(*(slice(None),) * axis, key[axis])]
    return values


def _raw(
    store: Store, dropped: set[str], level: int | None, grid: str, *, sharp: bool, device: str
) -> xr.Dataset:
    """Undecoded dataset of a store, described as :func:`decompress` would have it in a file."""
    from hpcodec.decompression import on_cells, on_grid, wanted_grid
    from hpcodec.picks import Pick
    from hpcodec.places import chunk_shape

    chosen = [variable for name, variable in store.variables.items() if name not in dropped]
    skeleton = store.skeleton()
    skeleton = skeleton.drop_vars([name for name in skeleton.variables if name in dropped])
    everything = list(store.variables.values())
    level, other = wanted_grid(level, grid)
    if level is not None or other is not None:
        # Without what only zarr can hold: the dataset may be written to NetCDF as well.
        history = {key: told for key, told in skeleton.attrs.items() if key == "history"}
        if other is not None:
            skeleton = on_grid(skeleton, everything, other, "")
        elif level is not None:
            skeleton = on_cells(skeleton, everything, level, "", zarr=False)
        del skeleton.attrs["history"]  # opened twice, it is the same
        skeleton.attrs |= history
    for carried in skeleton.variables.values():
        carried.encoding = {}  # that of the store, which does not fit whatever is made of it
    skeleton.encoding = {}
    kept = list(map(str, skeleton.variables))
    for variable in chosen:
        pick = Pick(store, variable, level, other)
        like = pick.output(kept)
        fields = indexing.LazilyIndexedArray(_Fields(store, pick, sharp=sharp, device=device))
        chunk = chunk_shape(variable.shape, variable.coding.key_every, variable.axes)
        chunks = (*chunk[: like.leading], *like.shape[like.leading :])
        encoding: dict[str, Any] = {"preferred_chunks": dict(zip(like.dims, chunks, strict=True))}
        if level is not None:
            encoding["coordinates"] = None  # so that writing does not list crs in each variable
        skeleton[like.name] = xr.Variable(like.dims, fields, like.attributes, encoding)
    return skeleton


def _nothing_to_close() -> None:
    """A read opens and closes what it needs; open_mfdataset wants to be told."""


def _path(filename_or_obj: object) -> str:
    """URL or whole path, for a process that runs elsewhere."""
    if not isinstance(filename_or_obj, str | os.PathLike):
        raise UsageError(
            f"expected the path or URL of a store; got {type(filename_or_obj).__name__}."
        )
    path = os.fspath(filename_or_obj)
    return path if "://" in path else str(Path(path).expanduser().absolute())


def _metadata(path: str) -> str:
    """Metadata of a zarr v3 group at a path or URL."""
    if "://" not in path:
        return Path(path, "zarr.json").read_text("utf-8")
    if not path.rstrip("/").endswith(".zarr"):
        return "{}"
    import fsspec

    with fsspec.open(f"{path.rstrip('/')}/zarr.json", "rt", encoding="utf-8") as file:
        return str(file.read())
