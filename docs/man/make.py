"""The man page and the page of commands, of what ``hpcodec --help`` says.

python docs/man/make.py

hpcodec --verbs--> names, options, help --> hpcodec.1 beside this file, ../commands.md

Generators for click do not know the commands of recent Typer, which has a click of its own, and
what Typer has of the kind writes no man page.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo

from hpcodec.cli import app

HERE = Path(__file__).parent
DESCRIPTION = """\
Global climate and weather fields in NetCDF, zarr or GRIB become a zarr store of a sixteenth to a
thousandth of the bytes, and come back on their own grid, on another, or on HEALPix cells of any
level."""
VARIABLES = {
    "HPCODEC_MODELS": "Folders of models of one's own, separated as in PATH; they come first.",
    "HPCODEC_DATA_DIR": "Where 'hpcodec models add' puts models; else the user's data folder.",
    "HPCODEC_CACHE_DIR": "Where remap operators are kept; else the user's cache folder.",
    "NO_COLOR": "No colours, and no maps in 'hpcodec info'.",
}
HEAD = """\
# Commands

What `hpcodec --help` and `hpcodec VERB --help` say, on a page and on the man page that `pip` puts
below `share/man` of the environment. `python docs/man/make.py` writes both, and a test compares
them with the command.

    man hpcodec

## Completion in a shell

    hpcodec --install-completion

for bash, zsh, fish and PowerShell; it takes effect in the next shell. `hpcodec --show-completion`
prints what that would install, to be put elsewhere. With it, verbs and options are completed by the
tab key.
"""
CODES = {0: "Done.", 1: "Refused, failed, or not valid: one line on stderr.", 2: "Wrong usage."}


@dataclass(frozen=True)
class Parameter:
    """One argument or option.

    Parameters
    ----------
    name : str
        As the usage line, or the table of options, has it.
    told : str
        A sentence.
    option : bool
        Whether it is an option.
    """

    name: str
    told: str
    option: bool


@dataclass(frozen=True)
class Verb:
    """One command with what it takes."""

    words: str
    told: str
    parameters: tuple[Parameter, ...]

    @property
    def usage(self) -> str:
        """First line."""
        arguments = [p.name for p in self.parameters if not p.option]
        return " ".join([self.words, *arguments, "[OPTIONS]"])


def verbs(app: typer.Typer, words: str = "hpcodec") -> Iterator[Verb]:
    """Every command that does something, in the order of the help."""
    for info in app.registered_commands:
        function = info.callback
        assert function is not None
        name = info.name or function.__name__.replace("_", "-")
        said = " ".join((inspect.getdoc(function) or "").split())
        yield Verb(f"{words} {name}", said, tuple(parameters(function)))
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from verbs(group.typer_instance, f"{words} {group.name}")


def parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    """Arguments, then options of a command, by their annotations."""
    hints = get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(hints[name])
        needed = parameter.default is inspect.Parameter.empty
        text = " ".join((info.help or "").split()).rstrip(".") + "."
        if isinstance(info, ArgumentInfo):
            word = name.upper() + ("..." if get_origin(kind) is list else "")
            found.append(Parameter(word if needed else f"[{word}]", text, option=False))
            continue
        # In an annotation, the first spelling stands where a default would.
        first = (info.default,) if isinstance(info.default, str) else ()
        dashed, flag = name.replace("_", "-"), kind in (bool, bool | None)
        plain = f"--{dashed}/--no-{dashed}" if flag else f"--{dashed}"
        spelt = ", ".join([*first, *(info.param_decls or ())]) or plain
        value = "" if flag else f" {_word(kind)}"
        default = parameter.default
        known = default not in (None, "", False, True) and not needed
        text += f" Default: {default}." if known else ""
        found.append(Parameter(spelt + value, text, option=True))
    return iter(sorted(found, key=lambda one: one.option))


def _word(kind: Any) -> str:  # noqa: ANN401  (a type)
    """What a value is, for people."""
    inner = [one for one in get_args(kind) if one is not type(None)]
    if inner:
        return _word(inner[0])
    return {int: "NUMBER", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT")


def markdown() -> str:
    """The page of commands."""
    lines = [HEAD.rstrip()]
    for verb in verbs(app):
        lines += ["", f"## {verb.words}", "", f"    {verb.usage}", "", verb.told]
        for one in verb.parameters:
            lines += ["", f"`{one.name}`", f":   {one.told}"]
    lines += ["", "## Exit codes", ""]
    lines += [f"- {code}: {meaning}" for code, meaning in CODES.items()]
    lines += ["", "## Environment", ""]
    lines += [f"- `{name}`: {meaning}" for name, meaning in VARIABLES.items()]
    return "\n".join(lines) + "\n"


def roff(text: str) -> str:
    """Text that troff takes literally."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + plain if plain.startswith((".", "'")) else plain


def man() -> str:
    """The man page."""
    lines = [
        '.TH HPCODEC 1 "" "hpcodec" "User Commands"',
        ".SH NAME",
        "hpcodec \\- compress climate fields on the HEALPix sphere",
        ".SH SYNOPSIS",
        ".B hpcodec",
        ".I VERB",
        "[ARGUMENTS] [OPTIONS]",
        ".SH DESCRIPTION",
        roff(DESCRIPTION.replace("\n", " ")),
        ".SH COMMANDS",
    ]
    for verb in verbs(app):
        lines += [f".SS {roff(verb.usage)}", roff(verb.told)]
        for one in verb.parameters:
            lines += [".TP", f".B {roff(one.name)}", roff(one.told)]
    lines += [".SH EXIT STATUS"]
    for code, meaning in CODES.items():
        lines += [".TP", f".B {code}", roff(meaning)]
    lines += [".SH ENVIRONMENT"]
    for name, meaning in VARIABLES.items():
        lines += [".TP", f".B {name}", roff(meaning)]
    lines += [".SH SEE ALSO", "The folder docs of the source, and python \\-m pydoc hpcodec."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both."""
    (HERE / "hpcodec.1").write_text(man(), "utf-8")
    (HERE.parent / "commands.md").write_text(markdown(), "utf-8")


if __name__ == "__main__":
    main()
