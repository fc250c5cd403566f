"""One file per step, each beside its inverse; in alphabetical order they are the data flow."""
