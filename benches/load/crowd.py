"""Very many sessions passing through one process: what it keeps of them has an end."""

import subprocess
import time

import hot
from machine import GATEWAY_CORE, ROOT, redis_command, say
from peers import Peer, readings

CONNECTIONS = 64
STEPS = 10


def passing(world, count):
    """Each session is asked for, in crowds of a tenth of them all; after each crowd, what the process holds."""
    one = world.vestibule("vestibule-crowd")
    cookies = sign_in(world, one, count)
    before, misses = one.resident(), readings(one)["near_cache_misses"]
    rows, failed, share = [], 0, count // STEPS
    for step in range(STEPS):
        lines = cookies[step * share:(step + 1) * share]
        peer = Peer("crowd", one, f"http://127.0.0.1:{one.port}/", [f"{world.cookie}={line}" for line in lines])
        seen, began = 0, time.monotonic()
        # In turns of one crowd: nobody is asked for a second time before all have been.
        while seen < (step + 1) * share:
            if time.monotonic() > began + 300:
                raise RuntimeError(f"only {seen:.0f} of {(step + 1) * share} sessions were asked for in five minutes")
            failed += hot.wrk(world, peer, CONNECTIONS, max(1, share // 20_000))["failed"]
            seen = readings(one)["near_cache_misses"] - misses
        now = readings(one)
        rows.append({"passed": (step + 1) * share, "resident": one.resident(), "near_sessions": now["near_cache_sessions"], "near_bytes": now["near_cache_bytes"]})
        say(f"  {rows[-1]['passed']:>9,} sessions passed: {rows[-1]['resident'] / 2**20:.0f} MiB, {now['near_cache_sessions']:,.0f} of them near")
    one.stop()
    return {"count": share * STEPS, "before": before, "failed": failed, "bound_sessions": one.near_sessions, "redis_bytes": redis_memory(world), "steps": rows}


def sign_in(world, one, count):
    """The cookies of so many new sessions, by benches/crowd.rs."""
    say(f"  signing {count:,} people in")
    command = ["cargo", "bench", "--quiet", "--bench", "crowd", "--", one.config, str(count)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def redis_memory(world):
    line = next(line for line in redis_command(world.ports["redis"], "INFO", "memory").splitlines() if line.startswith("used_memory:"))
    return int(line.split(":")[1])
