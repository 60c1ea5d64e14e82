"""Requests: rounds that take turns between the peers, system calls, idle connections, logins."""

import random
import re
import shlex
import signal
import socket
import subprocess
import time
from urllib.parse import urlsplit

import browser
from machine import HEADERS, LOAD_CORE, path, redis_calls, say
from peers import readings


def on_load_core(command):
    return (["taskset", "-c", str(LOAD_CORE)] if LOAD_CORE is not None else []) + list(map(str, command))


def wrk(world, peer, connections, seconds):
    """What completed, how fast, and what failed."""
    command = [f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "--latency"]
    for name, value in HEADERS:
        command += ["-H", f"{name}: {value}"]
    if len(peer.cookies) == 1:
        command += ["-H", f"Cookie: {peer.cookies[0]}"]
    elif peer.cookies:
        listed = ",".join('"%s"' % cookie for cookie in peer.cookies)
        script = f"local cookies, n = {{{listed}}}, 0\nfunction request()\n  n = n % #cookies + 1\n  wrk.headers['Cookie'] = cookies[n]\n  return wrk.format()\nend\n"
        command += ["-s", world.write("cookies.lua", script)]
    out = wrk_raw([*command, peer.url], seconds)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    return {
        "done": int(re.search(r"(\d+) requests in", out)[1]),
        "failed": (int(bad[1]) if bad else 0) + (sum(map(int, errors.groups())) if errors else 0),
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
        "p50_us": microseconds(re.search(r"(?m)^ +50%\s+(\S+)", out)[1]),
        "p99_us": microseconds(re.search(r"(?m)^ +99%\s+(\S+)", out)[1]),
    }


def wrk_raw(arguments, seconds):
    return subprocess.run(on_load_core(["wrk", "-t1", *arguments]), capture_output=True, text=True, timeout=seconds + 60, check=True).stdout


def microseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[unit]


def measured(world, peer, drive):
    """CPU time of the peer (and of Redis) per thing done, by the kernel's account of the processes."""
    gateway, ours = peer.process, hasattr(peer.process, "admin")
    before, redis, calls = gateway.cpu(), sum(world.redis.cpu()), redis_calls(world.ports["redis"])
    counted, began = readings(gateway) if ours else {}, time.monotonic()
    row = drive()
    ended = time.monotonic()
    after, took = gateway.cpu(), ended - began
    user, system, done = after[0] - before[0], after[1] - before[1], max(row["done"], 1)
    row |= {
        "peer": peer.name, "began": began, "ended": ended, "seconds": took, "busy": (user + system) / took,
        "cpu_us": (user + system) / done * 1e6, "user_us": user / done * 1e6, "system_us": system / done * 1e6,
        "redis_us": (sum(world.redis.cpu()) - redis) / done * 1e6,
        "redis_calls": {name: n - calls.get(name, 0) for name, n in redis_calls(world.ports["redis"]).items() if n > calls.get(name, 0)},
    }
    if ours:
        now = readings(gateway)
        row["counted"] = {name: now.get(name, 0) - counted.get(name, 0) for name in COUNTED}
    return row


# What a hot request must not do, by the gateway's own count.
COUNTED = ["store_commands", "signatures", "near_cache_hits", "near_cache_misses", "upstream_connects"]


def rounds(world, peers, connections, count, seconds, close=()):
    """Everybody in each round, so that what disturbs the machine disturbs all of them, and each round in an order of its own, so that
    nobody always comes after the same neighbour. `close` are those of whom a few hundredths have to be told apart: after each round
    they go on for eight of their own, half as long."""
    rows, order = [], random.Random(connections)
    for peer in peers:
        wrk(world, peer, connections, 1)
    for n in range(count):
        for at, taking, long in [(n, peers, seconds), *((n + k / 10, close, seconds // 2) for k in range(1, 9) if close)]:
            for peer in order.sample(taking, len(taking)):
                row = measured(world, peer, lambda: wrk(world, peer, connections, long))
                rows.append(row | {"connections": connections, "round": at})
                say(f"  c={connections:<4} round {at} {peer.name:<34} {row['per_second']:>8.0f}/s  CPU {row['cpu_us']:>7.2f} µs "
                    f"(user {row['user_us']:.1f}, system {row['system_us']:.1f})  core {row['busy']:.0%}  failed {row['failed']}")
    return rows


def logins(world, peers, workers, count, seconds):
    """Complete logins, in turns. In the rows a thing done is a login."""
    rows = []
    for n in range(count):
        for peer in peers:
            row = measured(world, peer, lambda: browser.logins(peer.url, workers, seconds))
            rows.append(row | {"round": n})
            say(f"  logins round {n} {peer.name:<34} {row['per_second']:>6.0f}/s  CPU {row['cpu_us'] / 1e3:.3f} ms  failed {row['failed']}")
    return rows


def system_calls(world, peer, connections, seconds):
    """System calls per request, counted by strace. It slows everything down: only the counts mean something."""
    out = world.directory / "strace.txt"
    attach = [word for pid in peer.process.family() for word in ("-p", str(pid))]
    wrk(world, peer, connections, 1)
    tracer = subprocess.Popen(on_load_core(["strace", "-f", "-c", "-o", out, *attach]), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    done = wrk(world, peer, connections, seconds)["done"]
    tracer.send_signal(signal.SIGINT)
    tracer.wait(20)
    rows = re.findall(r"(?m)^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", out.read_text())
    calls = {name: int(n) / done for n, name in rows if name != "total"}
    top = dict(sorted(((name, round(n, 3)) for name, n in calls.items() if n >= 0.005), key=lambda one: -one[1]))
    say(f"  {peer.name:<34} {sum(calls.values()):.2f} system calls a request: {shlex.join(f'{name}={n}' for name, n in top.items())}")
    return {"peer": peer.name, "connections": connections, "done": done, "per_request": sum(calls.values()), "by_name": top}


def idle_memory(peer, count):
    """What the process grows by for each connection that made one request and then waits."""
    at, held = urlsplit(peer.url), []
    cookie = f"Cookie: {peer.cookies[0]}\r\n" if peer.cookies else ""
    head = f"GET {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\n{cookie}" + "".join(f"{k}: {v}\r\n" for k, v in HEADERS) + "\r\n"

    def open_one():
        one = socket.create_connection((at.hostname, at.port), timeout=20)
        one.sendall(head.encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += some(one)
        length = int(re.search(rb"(?i)content-length: *(\d+)", got)[1])
        while len(got.split(b"\r\n\r\n", 1)[1]) < length:
            got += some(one)
        held.append(one)

    # What the first few make it set up once is not theirs.
    for _ in range(20):
        open_one()
    time.sleep(1)
    before = peer.process.resident()
    # A few hundred a second, as they come when nothing has just been restarted: what a burst needs for a moment is not what waiting costs.
    for n in range(count):
        open_one()
        if n % 40 == 0:
            time.sleep(0.1)
    time.sleep(2)
    bytes_each = (peer.process.resident() - before) / count
    for one in held:
        one.close()
    say(f"  {peer.name:<34} {bytes_each / 1000:.1f} KB for each of {count} idle connections")
    return {"peer": peer.name, "connections": count, "bytes_each": bytes_each, "resident_before": before}


def some(connection):
    data = connection.recv(65536)
    if not data:
        raise RuntimeError("the connection ended")
    return data


def profiled(world, peer, connections, seconds, out):
    """A profile of the gateway by perf while it is under load; for `perf report -i`."""
    pids = ",".join(map(str, peer.process.family()))
    recorder = subprocess.Popen(on_load_core(["perf", "record", "-q", "-F", "1999", "-g", "-p", pids, "-o", out]), env={"PATH": path()})
    wrk(world, peer, connections, seconds)
    recorder.send_signal(signal.SIGINT)
    recorder.wait(60)
