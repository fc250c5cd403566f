"""``hpcodec bench``: every field of some files, every codec, one report.

files --read_cases--> Case --measure_curve--> Result, ... --> tables, JSON, plot, targets
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from hpcodec.bench.case import Case, read_cases
from hpcodec.bench.codecs import Codec, Recipe, choose
from hpcodec.bench.curves import at_rmse
from hpcodec.bench.measure import Curve, measure_curve, measure_point, with_point
from hpcodec.bench.ours import StorePoint, measure_store
from hpcodec.bench.plot import plot_curves
from hpcodec.bench.recipes import CNN, PRODUCT, recipes
from hpcodec.bench.report import print_result, print_verdicts, write_json
from hpcodec.bench.result import Result
from hpcodec.bench.targets import judge, needed
from hpcodec.errors import HpcodecError, UsageError

__all__ = ["RATIOS", "run_bench"]

RATIOS = (16.0, 64.0, 256.0, 1024.0)
"""Where codecs are compared if nothing else is asked for."""

Told = Callable[[str, int, int], None]


def run_bench(
    paths: Sequence[str],
    *,
    ratios: Sequence[float] = (),
    errors: Sequence[float] = (),
    codecs: Sequence[str] = (),
    variable: str = "",
    json: str = "",
    plot: str = "",
    targets: bool = False,
    cnn: str = "",
    device: str = "auto",
    told: Told = lambda name, done, total: None,
    note: Callable[[str], None] = lambda line: None,
) -> None:
    """Measure codecs on the first field of every variable, and print what came of it.

    Parameters
    ----------
    paths : sequence of str
        NetCDF or zarr files.
    ratios, errors : sequence of float
        Ratios, and RMSE in the variable's unit, to compare at; if there are none, ``RATIOS``.
    codecs : sequence of str
        Names of codecs; all if there are none.
    variable : str
        Only this one, if it is not empty.
    json, plot : str
        Files to write, too, if they are not empty.
    targets : bool
        Whether to print the table of targets.
    cnn : str
        Weights of the convolutional autoencoder, if it is to be among the codecs.
    device : str
        Torch device of our codecs, or ``auto``.
    told : callable
        Called with the field, codecs done, and codecs in all.
    note : callable
        Called with a line on what is left out.

    Raises
    ------
    HpcodecError
        For whatever is wrong with the files, the options or the outputs.
    """
    for value in (*ratios, *errors):
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"expected a ratio or RMSE above 0; got {value}. Give a number.")
    if CNN in codecs and not cnn:
        raise UsageError(f"expected weights for {CNN}; got none. Add --cnn WEIGHTS.")
    chosen = _installed(choose(codecs, recipes(device, cnn)), note)
    if targets and PRODUCT not in [recipe.name for recipe in chosen]:
        raise UsageError(
            f"expected {PRODUCT} among the codecs, for the targets are its own; got others. "
            f"Add --codec {PRODUCT}."
        )
    asked = list(ratios) or ([] if errors else list(RATIOS))
    results = []
    for case in read_cases(paths, variable):
        result = _measured(case, chosen, asked, errors, targets, device, told, note)
        print_result(result, asked, errors)
        results.append(result)
    verdicts = judge(results, PRODUCT) if targets else []
    if targets:
        print_verdicts(verdicts)
    if json:
        write_json(json, results, verdicts, asked, errors)
    if plot:
        plot_curves(plot, results)


def _installed(chosen: Sequence[Recipe], note: Callable[[str], None]) -> list[Recipe]:
    there = []
    for recipe in chosen:
        if recipe.lacks:
            note(recipe.lacks)
        else:
            there.append(recipe)
    if not there:
        raise UsageError("expected a codec that is installed; got none. Install or name another.")
    return there


def _measured(
    case: Case,
    chosen: Sequence[Recipe],
    ratios: Sequence[float],
    errors: Sequence[float],
    targets: bool,
    device: str,
    told: Told,
    note: Callable[[str], None],
) -> Result:
    """All codecs on one field; ours last, for it is asked what the others reach."""
    curves: dict[str, Curve] = {}
    ratios, errors = list(ratios), list(errors)
    for done, recipe in enumerate(sorted(chosen, key=lambda r: r.kind == "ours")):
        told(case.label, done, len(chosen))
        if recipe.kind == "ours" and targets:
            more = needed(case, list(curves.values()))
            wanted = [*ratios, *more[0]], [*errors, *more[1]]
        else:
            wanted = ratios, errors
        try:
            codec = recipe.build(case)
        except HpcodecError as error:
            note(f"{recipe.name} is left out of {case.label}: {error}")
            continue
        extra = wanted[0] if codec.by_ratio else []
        curve = measure_curve(recipe.name, recipe.kind, codec, case, extra)
        curves[recipe.name] = _refined(curve, codec, case, wanted[1]) if codec.by_ratio else curve
        if curve.failures:
            note(f"{len(curve.failures)} failed; {curve.failures[0]}")
    told(case.label, len(chosen), len(chosen))
    stores = tuple(_stores(case, ratios, device, note)) if PRODUCT in curves else ()
    ordered = tuple(curves[recipe.name] for recipe in chosen if recipe.name in curves)
    return Result(case, ordered, stores)


def _refined(curve: Curve, codec: Codec, case: Case, errors: Sequence[float]) -> Curve:
    """The curve with a point beside each RMSE, so that little is left to interpolation."""
    for rmse in errors:
        if point := at_rmse(curve, rmse):
            curve = with_point(curve, measure_point(codec, case, point.ratio))
    return curve


def _stores(
    case: Case, ratios: Sequence[float], device: str, note: Callable[[str], None]
) -> Iterator[StorePoint]:
    for ratio in ratios:
        try:
            yield measure_store(case, ratio, device)
        except HpcodecError as error:
            note(f"no whole store of {case.label} at ratio {ratio:g}: {error}")
