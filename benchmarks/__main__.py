"""Run all benchmarks, or those named."""

from __future__ import annotations

import argparse

from benchmarks import bert, dcgan, startup, steps, suite

_BENCHMARKS = {"steps": steps.run, "bert": bert.run, "dcgan": dcgan.run, "startup": startup.run, "suite": suite.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        choices=[*_BENCHMARKS, []],
        help=f"which to run: {', '.join(_BENCHMARKS)} (all)",
    )
    chosen = parser.parse_args().names or list(_BENCHMARKS)
    for name in chosen:
        _BENCHMARKS[name]()


if __name__ == "__main__":
    main()
