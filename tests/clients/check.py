#!/usr/bin/env python3
"""Uses a local murder, and a backend that works alone, with real clients.

    tests/clients/check.py [target/debug/murder]

Starts both in a temporary directory; the murder may be a running one, with --topology FILE.
Prints one line a check and a closing line `N passed, M failed`; the exit code tells.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
import traceback

import fetchers  # noqa: F401, its checks
import libraries  # noqa: F401
import readers  # noqa: F401
import synchronizers  # noqa: F401
from kit import ALONE_CHECKS, MURDER_CHECKS, Alone, Murder, run


def print_logs(topology):
    """The end of each node's log, for whoever cannot look at the machine."""
    for role in ("masters", "backends", "frontends"):
        for node in topology[role]:
            log = pathlib.Path(node["config"]).with_suffix(".log")
            if log.exists():
                print(f"--- {log}")
                print("\n".join(log.read_text(errors="replace").splitlines()[-40:]))


def checked(functions, server, only):
    """Runs the checks; returns how many passed and how many failed."""
    passed = failed = 0
    for function in functions:
        if only and only not in function.__name__:
            continue
        try:
            function(server)
            passed += 1
            print(f"ok      {function.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {function.__name__}", flush=True)
            traceback.print_exc()
    return passed, failed


def of_a_murder(program, topology, only):
    folder = None
    if not topology:
        folder = tempfile.mkdtemp(prefix="murder-clients-")
        topology = os.path.join(folder, "topology.json")
        run(program, "up", "--dir", folder, "--detach", "--topology", topology)
    try:
        murder = Murder(json.loads(pathlib.Path(topology).read_text()))
        passed, failed = checked(MURDER_CHECKS, murder, only)
        if failed:
            print_logs(murder.topology)
        return passed, failed
    finally:
        if folder:
            run(program, "down", "--dir", folder)
            shutil.rmtree(folder)


def of_a_backend_alone(program, only):
    with tempfile.TemporaryDirectory(prefix="murder-clients-") as folder:
        alone = Alone(program, pathlib.Path(folder))
        try:
            passed, failed = checked(ALONE_CHECKS, alone, only)
            if failed:
                print("\n".join(alone.log.read_text().splitlines()[-40:]))
            return passed, failed
        finally:
            alone.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("murder", nargs="?", default="target/debug/murder")
    parser.add_argument("--topology", help="use the running murder of this topology file")
    parser.add_argument("--only", help="run only the checks whose name holds this")
    arguments = parser.parse_args()
    results = [
        of_a_murder(arguments.murder, arguments.topology, arguments.only),
        of_a_backend_alone(arguments.murder, arguments.only),
    ]
    passed, failed = map(sum, zip(*results))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
