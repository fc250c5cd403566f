"""``hpcodec models``: those that are there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hpcodec.terminal import print_json

__all__ = ["models"]

models = typer.Typer(help="List models, show one, add and remove those of others.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@models.callback(invoke_without_command=True)
def _listed(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_models(as_json=as_json)


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models that are there and what they do on their validation fields."""
    from hpcodec.cards import read_card, summary
    from hpcodec.model_folders import all_models, find_models

    first = find_models()
    for folder in all_models() if not as_json else ():
        card = read_card(folder)
        other = "" if first[folder.name] == folder else "\n    used where its digest is named"
        typer.echo(summary(card) + other)
    if as_json:
        print_json([asdict(read_card(folder)) for folder in all_models()])


@models.command("show")
def show_model(
    model: Annotated[str, typer.Argument(help="Name, first digits of its sha256, or folder.")],
    as_json: AsJson = False,
) -> None:
    """Show what is known of one model: what it is for, learned from, and does."""
    from hpcodec.cards import read_card
    from hpcodec.model_card_text import card_text
    from hpcodec.model_folders import folder_of

    folder = folder_of(model)
    card = read_card(folder)
    if as_json:
        print_json(asdict(card))
        return
    typer.echo(card_text(card, str(folder)))


@models.command("add")
def add(
    source: Annotated[
        str, typer.Argument(help="Folder, .zip or .tar.gz of a model: a path or a URL.")
    ],
    sha256: Annotated[
        str, typer.Option(help="Sha256 of its weights, or its first digits: refuse others.")
    ] = "",
) -> None:
    """Add a model of someone else, once it is checked: then stores that name it are decoded."""
    from hpcodec.model_adding import add_model

    card, folder, new = add_model(source, sha256)
    typer.echo(f"{card.name}, weights {card.weights[:12]}, {'in' if new else 'was in'} {folder}")


@models.command("remove")
def remove(
    model: Annotated[str, typer.Argument(help="Name of an added model, or digits of its sha256.")],
) -> None:
    """Remove a model that was added. Stores that name it are then decoded to level 3 alone."""
    from hpcodec.model_adding import remove_model

    typer.echo(f"removed {remove_model(model)}")
