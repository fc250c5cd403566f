"""Rules of the house: imports point down, files and functions are short, what is public is told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "hpcodec"

# Each floor uses only those before it. A package stands for all of its modules.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "findings", "terminal"),
    (
        "ahead",
        "arithmetic",
        "even",
        "integers",
        "memory",
        "metadata",
        "rings",
        "targets",
        "shards",
        "triangles",
    ),
    ("any_grid", "cli_options", "containment", "packing"),
    ("faces", "grid", "layout", "missing", "options", "output_formats"),
    ("parts",),
    ("gaussian_grid", "globe", "healpix_grid", "point_grid"),
    ("conventions", "grids"),
    ("fields", "georeference", "masks", "named_grids", "spread"),
    ("overlaps", "records", "unfinished"),
    ("remote",),
    ("journal",),
    ("remap_operators",),
    ("conformance", "correction", "entropy", "mask_table", "networks", "output", "places"),
    ("fetching", "stored"),
    ("base_field",),
    ("cards", "report", "restorers", "stages"),
    ("model_card_text", "model_folders"),
    ("model_sources",),
    ("expectations", "models", "figures", "output_store", "quarters", "schema", "step_search"),
    ("band_networks", "model_adding"),
    ("bound_search", "coarse", "coding", "fitted", "judge", "maps", "relief", "views"),
    ("goals",),
    ("rival",),
    ("chains", "charts", "detail", "fitting"),
    ("restoring",),
    ("detailing",),
    ("decoding", "ways"),
    ("panels", "pipeline", "regridding", "terminal_map"),
    ("base_group", "bounds", "picks", "series"),
    ("sinks",),
    ("budget", "writer"),
    ("creation", "tasks"),
    ("cluster",),
    ("faithfulness",),
    ("codec", "compression", "decompression", "comparison", "info", "validation", "train"),
    ("sections",),
    ("bench", "page", "xarray_backend"),
    ("cli_models", "cli_train"),
    ("cli",),
)
# Modules of these may use each other.
TOGETHER = ("bench", "entropy", "networks", "train")
# Modules on one floor that use each other, or names that a stage takes from another.
WITHIN = {
    ("stages.dataset", "stages.recognise"): {"recognise"},
    ("stages.nudge", "stages.trail"): {"Trail"},
    ("stages.nudge", "stages.transform"): {"Coder"},
    ("stages.transform", "stages.power"): {"amplitude", "power_lost"},
    ("stages.transform", "stages.symbols"): {"FieldWriter"},
    ("stages.transform", "stages.trail"): {"CARRY_ALL", "Trail"},
    ("stages.zarr_store", "stages.wire"): {"HEADER_MOST", "prefix_size", "split_payloads"},
}
# The only users of torch; the rest reaches it through them, when a field is coded.
TORCH = (
    "bench.cnn",
    "networks",
    "restorers",
    "restoring",
    "stages.nudge",
    "stages.power",
    "stages.symbols",
    "stages.trail",
    "stages.transform",
    "train",
)

FILE_LINES, FUNCTION_LINES = 300, 60
# Longer than the rule, with the reason.
LONG_FILES: dict[str, str] = {
    "cli.py": "one option a line, so that a verb reads as its help does",
    "output_formats.py": "two formats side by side, which must do the same",
}
LONG_FUNCTIONS: dict[str, str] = {
    "cli.compress": "declares its options and the columns of its table",
}


def modules() -> dict[str, Path]:
    names = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        names[".".join(part for part in parts if part != "__init__")] = path
    return names


@lru_cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module of ours and name taken from it, wherever in the file it is imported."""
    known = modules()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "hpcodec":
                    yield alias.name.removeprefix("hpcodec").lstrip("."), ""
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hpcodec":
            module = (node.module or "").removeprefix("hpcodec").lstrip(".")
            for alias in node.names:
                inner = f"{module}.{alias.name}".lstrip(".")
                yield (inner, "") if inner in known else (module, alias.name)


def floor(module: str) -> int:
    (found,) = (i for i, names in enumerate(FLOORS) if module.split(".")[0] in names)
    return found


def inside() -> list[str]:
    return [name for name in modules() if name]


def test_every_module_has_a_floor() -> None:
    listed = [name for names in FLOORS for name in names]
    assert sorted(listed) == sorted({name.split(".")[0] for name in inside()})


@pytest.mark.parametrize("module", inside())
def test_imports_point_down(module: str) -> None:
    home = module.split(".")[0]
    for other, name in imports(modules()[module]):
        if other.split(".")[0] == home and home in TOGETHER:
            continue
        if (module, other) in WITHIN:
            assert name in WITHIN[module, other], f"{module} takes {name} from {other}"
            continue
        assert floor(other) < floor(module), f"{module} imports {other}"


@pytest.mark.parametrize("package", TOGETHER)
def test_modules_of_a_package_do_not_go_round(package: str) -> None:
    inner = {name for name in inside() if name.split(".")[0] == package}
    uses = {
        name: {other for other, _ in imports(modules()[name]) if other in inner} for name in inner
    }
    while leaves := {name for name, others in uses.items() if not others}:
        uses = {name: others - leaves for name, others in uses.items() if name not in leaves}
    assert not uses


def test_exceptions_are_needed() -> None:
    used = {(m, other) for m in inside() for other, _ in imports(modules()[m])}
    assert set(WITHIN) <= used


@pytest.mark.parametrize(("package", "command"), [("train", "cli_train"), ("bench", "cli")])
def test_only_the_command_uses(package: str, command: str) -> None:
    users = {
        module
        for module in inside()
        for other, _ in imports(modules()[module])
        if other.split(".")[0] == package and module.split(".")[0] != package
    }
    assert users == {command}


def test_torch_is_imported_at_the_top_only_by_what_needs_it() -> None:
    for module, path in modules().items():
        top = [node for node in tree(path).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        names = {
            name.split(".")[0]
            for node in top
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        }
        allowed = any(module == home or module.startswith(f"{home}.") for home in TORCH)
        assert "torch" not in names or allowed, module


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_files_are_short() -> None:
    long = {
        path.relative_to(SOURCE).as_posix()
        for path in modules().values()
        if lines(path) > FILE_LINES
    }
    assert long == set(LONG_FILES), long ^ set(LONG_FILES)
    most = {name: lines(SOURCE / name) for name in LONG_FILES}
    assert all(FILE_LINES < most[name] <= 400 for name in LONG_FILES), most


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    """Every function of the source, as module.Class.name."""

    def walk(prefix: str, body: list[ast.stmt]) -> Iterator[tuple[str, Function]]:
        for node in body:
            if isinstance(node, Function):
                yield f"{prefix}.{node.name}", node
            elif isinstance(node, ast.ClassDef):
                yield from walk(f"{prefix}.{node.name}", node.body)

    for module, path in modules().items():
        yield from walk(module, tree(path).body)


def code_lines(node: Function) -> int:
    """Lines of a function without its docstring."""
    text = ast.get_docstring(node, clean=False)
    docstring = node.body[0]
    told = (docstring.end_lineno or 0) - docstring.lineno + 1 if text is not None else 0
    return (node.end_lineno or 0) - node.lineno + 1 - told


def test_functions_are_short() -> None:
    long = {name for name, node in functions() if code_lines(node) > FUNCTION_LINES}
    assert long == set(LONG_FUNCTIONS), long ^ set(LONG_FUNCTIONS)


def test_what_is_public_is_told() -> None:
    mute = []
    for module, path in modules().items():
        if ast.get_docstring(tree(path)) is None:
            mute.append(module)
        for node in tree(path).body:
            public = isinstance(node, ast.ClassDef) and not node.name.startswith("_")
            if public and ast.get_docstring(node) is None:  # type: ignore[arg-type]
                mute.append(f"{module}.{node.name}")  # type: ignore[attr-defined]
    for name, node in functions():
        private = any(part.startswith("_") for part in name.split("."))
        overload = any("overload" in ast.unparse(item) for item in node.decorator_list)
        if not private and not overload and ast.get_docstring(node) is None:
            mute.append(name)
    assert mute == []


def test_no_file_names_a_place_of_this_machine() -> None:
    place = re.compile(r"(?<![\w.:/])/(?:work|home|root|opt|mnt|scratch|tmp|Users)/\w")
    files = [
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "weights").rglob("*.json"),
        *(ROOT / "weights").rglob("*.toml"),
        ROOT / "pyproject.toml",
        ROOT / "README.md",
    ]
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files
        for match in place.finditer(path.read_text("utf-8"))
    }
    assert found == set()
