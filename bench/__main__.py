"""Everything that measures, one after the other.

    python -m bench [--folder DIR] [--write FILE.md] [--quick]

Each part is a command of its own (`python -m bench.models --help`), run in a fresh process so
that none warms another's caches. DIR gets what each measured as JSON; --write makes a page of it
with the machine and the commands. A part that fails is named at the end, and the exit status is 1.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.report import write_page

# What to run, and what makes it short.
PARTS = {
    "kernels": ["--rounds=3"],
    "models": ["--rounds=5"],
    "attention": ["--rounds=10"],
    "scaling": ["--rounds=21"],
    "real_speed": ["--seconds=0.5"],
    "tuned_layers": ["--only=mobilenet_v2", "--seconds=2"],
    "roundtrip": ["--calls=100"],
    "reuse": ["--rounds=10"],
    "pruning": ["--only=sound_command", "--densities=0.1"],
    "peers": ["--only=mobilenet", "--rounds=5"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the JSON files go; none are kept else")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="a page of the results")
    parser.add_argument("--quick", action="store_true", help="minutes instead of an hour")
    arguments = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for part, short in PARTS.items():
            options = short if arguments.quick else []
            command = ["-m", f"bench.{part}", *options, "--json", str(folder / f"{part}.json")]
            print(f"\n== python {' '.join(command[:-2])}", flush=True)
            if subprocess.run([sys.executable, *command]).returncode:
                failed.append(part)
        if arguments.write:
            write_page(arguments.write, folder, arguments.quick)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
