"""The configurations of networks, as their cards keep them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHANNELS", "Architecture", "RestorerShape"]

CHANNELS = 16
"""Of two halvings of a detail at a quarter of its resolution."""


@dataclass(frozen=True)
class Architecture:
    """The whole configuration of a network.

    Parameters
    ----------
    level : int
        Finest level.
    width, heads, expansion, blocks : int
        Of the field-space attention in the decoder.
    attend, attended : int
        Finest level whose stage of the decoder attends, and the feature fields it hands on.
    local_width, local_blocks : int
        Of the convolutions in each stage of the decoder, up to one level beyond ``attend``.
    fine_width, fine_blocks : int
        Of the convolutions at finer levels, where cells are many and tell little that is new.
    encoder_width, encoder_blocks, features : int
        Of the stages of the encoder, and the feature fields they hand to each other. Levels
        finer than one beyond ``attend`` are averaged.
    variables : tuple of str
        CF standard names with an embedding of their own; any other shares one.
    """

    level: int = 9
    width: int = 128
    heads: int = 4
    expansion: int = 2
    blocks: int = 2
    attend: int = 7
    attended: int = 16
    local_width: int = 48
    local_blocks: int = 4
    fine_width: int = 16
    fine_blocks: int = 2
    encoder_width: int = 64
    encoder_blocks: int = 1
    features: int = 8
    variables: tuple[str, ...] = ()

    @property
    def wide(self) -> int:
        """Finest level with stages of full width, and with a stage of the encoder."""
        return min(self.level, self.attend + 1)


@dataclass(frozen=True)
class RestorerShape:
    """The whole configuration of a restorer.

    Parameters
    ----------
    width, blocks : int
        Channels, and residual blocks of two 3x3 convolutions.
    embedding : int
        Numbers that say what variable it is, and how much of it is told.
    variables : tuple of str
        CF standard names with an embedding of their own; any other shares one.
    """

    width: int = 64
    blocks: int = 4
    embedding: int = 32
    variables: tuple[str, ...] = ()

    @property
    def reach(self) -> int:
        """Places on each side that an output depends on."""
        return 2 * self.blocks + 2

    def index(self, standard_name: str) -> int:
        """Embedding of a variable: 0 for any that has none of its own."""
        known = self.variables
        return 1 + known.index(standard_name) if standard_name in known else 0
