"""Coverage-guided fuzzing of the readers (pip install '.[fuzz]'; options are those of libFuzzer)::

    python -m tests.fuzz.run -max_total_time=600 tests/fuzz/corpus

Inputs that reach something new are added to the folder; what a reader must not do ends the run.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["hpcodec"]):
    from tests.fuzz.target import known, try_one


def main() -> None:
    known()
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
