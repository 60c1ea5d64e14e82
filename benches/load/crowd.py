"""Very many sessions passing through one process: what it keeps of them has an end."""

import subprocess
import time

import hot
from machine import ROOT, say
from peers import Peer, readings

CONNECTIONS = 64
STEPS = 20
# Longer than any sane machine needs for one step.
PATIENCE = 600


def passing(world, count):
    """Each session is asked for, a share of them all at a time; after each share, what the process holds."""
    one = world.vestibule("vestibule-crowd")
    say(f"  signing {count:,} people in")
    name, cookies = sign_in(one, count)
    before, misses = one.resident(), readings(one)["near_cache_misses"]
    rows, failed, share = [], 0, count // STEPS
    for passed in range(share, count + 1, share):
        asked, began = passed - share, time.monotonic()
        # The load generator asks for them in turn, from where it was stopped.
        while asked < passed:
            if time.monotonic() > began + PATIENCE:
                raise RuntimeError(f"{share:,} sessions did not pass in {PATIENCE} s")
            peer = Peer("crowd", one, f"http://127.0.0.1:{one.port}/", [f"{name}={cookie}" for cookie in cookies[asked:passed]])
            row = hot.wrk(world, peer, CONNECTIONS, 2)
            asked, failed = asked + max(row["done"] - CONNECTIONS, 0), failed + row["failed"]
        now = readings(one)
        rows.append({"passed": passed, "resident": one.resident(), "near_sessions": now["near_cache_sessions"], "near_bytes": now["near_cache_bytes"]})
        say(f"  {passed:>9,} sessions have passed: {rows[-1]['resident'] / 2**20:.0f} MiB, {now['near_cache_sessions']:,.0f} near ({now['near_cache_bytes'] / 2**20:.0f} MiB by weight)")
    misses = now["near_cache_misses"] - misses
    one.stop()
    return {"count": count, "misses": misses, "before": before, "failed": failed, "near_sessions": one.near_sessions, "steps": rows}


def sign_in(one, count):
    """The name of the cookie, and its values for so many new sessions (benches/crowd.rs)."""
    command = ["cargo", "bench", "--quiet", "--bench", "crowd", "--", one.config, count]
    lines = subprocess.run(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return lines[0], lines[1:]
