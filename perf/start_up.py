"""Start-up of the command line against an empty Python process, as ratios in one run.

python perf/start_up.py [--runs N]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "evalkit --help": ["-m", "evalkit", "--help"],
    "evalkit list metrics": ["-m", "evalkit", "list", "metrics"],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Prints the median of each command, interleaved so that the machine's drift falls on all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    times = {name: [seconds(arguments)] for name, arguments in COMMANDS.items()}
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    base = statistics.median(times["python -c pass"][1:])
    for name, measured in times.items():
        median = statistics.median(measured[1:])
        print(f"{name:22} {median:.3f} s  {median / base:.1f} x an empty process")


if __name__ == "__main__":
    main()
