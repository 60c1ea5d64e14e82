"""Tests with a mutant on, and without any."""

import os
import pathlib
import re
import signal
import subprocess
import time
import uuid

from .lists import Wrong

# A mutant may make a test wait for ever. One that is merely slow gets this much, or five times what it takes without.
PATIENCE = 60


def run_tests(binary, tree, names, mutant, patience):
    """What became of each test: ok, FAILED, hangs or dies; and why, as far as it said so."""
    mark = uuid.uuid4().hex
    environment = {name: value for name, value in os.environ.items() if name != "VESTIBULE_BROKEN"}
    environment["VESTIBULE_MUTANT_RUN"] = mark
    if mutant:
        environment["VESTIBULE_BROKEN"] = mutant
    started = time.monotonic()
    process = subprocess.Popen(
        [binary, "--exact", *names], cwd=tree, env=environment, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    late = False
    try:
        output, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        late = True
        end_all(mark)
        output, _ = process.communicate()
    else:
        end_all(mark)
    results = {}
    for name in names:
        said = re.findall(rf"^test {re.escape(name)}(?: - should panic)? \.\.\. (ok|FAILED|ignored)$", output, re.M)
        results[name] = said[-1] if said else "no such test" if not late and "running 0 tests" in output else "hangs" if late else "dies"
    return results, output, time.monotonic() - started


def end_all(mark):
    """Ends what a test left behind: its gateways and stores are in process groups of their own, but carry the run's mark."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"VESTIBULE_MUTANT_RUN={mark}".encode() in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue


def why(output, name):
    """The first line of a test's panic."""
    part = re.search(rf"^---- {re.escape(name)} stdout ----\n(.*?)(?=^----|\Z)", output, re.M | re.S)
    panic = re.search(r"panicked at (\S+?):\n(.*)", part[1] if part else output)
    return f"{panic[1]}: {panic[2]}"[:200] if panic else ""


def run_mutant(mutant, binaries, tree, usual):
    """The outcome of each of its tests with the mutant on."""
    outcome = {}
    for target in dict.fromkeys(test.split()[0] for test in mutant["tests"]):
        names = [test.split()[1] for test in mutant["tests"] if test.split()[0] == target]
        results, output, _ = run_tests(binaries[target], tree, names, mutant["name"], max(PATIENCE, 5 * usual[target]))
        for name, result in results.items():
            outcome[f"{target} {name}"] = (result, why(output, name) if result != "ok" else "")
    return outcome


def without_mutants(mutants, binaries, tree):
    """Every test once as the product is: what fails here says nothing. Also how long each binary took."""
    broken, usual = {}, {}
    for target in dict.fromkeys(test.split()[0] for mutant in mutants for test in mutant["tests"]):
        if target not in binaries:
            raise Wrong(f"{target} is not built")
        binary = binaries[target]
        names = sorted({test.split()[1] for mutant in mutants for test in mutant["tests"] if test.split()[0] == target})
        print(f"{len(names)} tests of {target} without any mutant", flush=True)
        results, output, usual[target] = run_tests(binary, tree, names, None, 15 * 60)
        for name, result in results.items():
            if result != "ok":
                # Once more and alone: a machine that is busy is no reason to doubt a test.
                alone, said, _ = run_tests(binary, tree, [name], None, 5 * 60)
                if alone[name] != "ok":
                    broken[f"{target} {name}"] = (alone[name], why(said, name))
    return broken, usual
