"""Torch modules that model cards refer to."""
