"""What ``hpcodec models show`` says of a model.

ModelCard --card_text--> lines
"""

from __future__ import annotations

from hpcodec.cards import ModelCard, OperatingPoint

__all__ = ["card_text"]


def card_text(card: ModelCard, folder: str) -> str:
    """A card in words.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    folder : str
        Where it is.
    """
    training = card.training
    names = [", ".join(rule["names"]) for rule in card.serves]
    start = str(training.get("start", ""))
    lines = [
        f"{card.name}: {card.description}",
        f"    in           {folder}",
        f"    weights      {card.weights}",
        f"    levels       3 to {card.architecture['level']}",
        f"    for          {'; '.join(names) or 'any variable'}",
        f"    trained      {training['steps']:,} steps{f', from {start}' if start else ''}, "
        f"on {len(training.get('data', ())):,} fields",
        *(f"    credit       {line}" for line in training.get("credits", ())),
    ]
    if gain := training.get("gain"):
        lines.append(
            f"    gain         {gain['bytes']:+.1%} of the bytes saved at equal error, beside "
            f"{start}, on {gain['fields']} fields of later times"
        )
    lines.append("    validation   error (of a field's scale) at bytes, by bottleneck level")
    for bottleneck in sorted({point.bottleneck for point in card.operating_points}, reverse=True):
        points = [p for p in card.operating_points if p.bottleneck == bottleneck]
        lines.append(f"        {bottleneck}: {', '.join(map(_told, points))}")
    return "\n".join(lines)


def _told(point: OperatingPoint) -> str:
    return f"{point.rmse:.2g} at {point.size:,.0f}"
