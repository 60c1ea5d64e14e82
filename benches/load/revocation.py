"""How soon a revocation that one replica acknowledged is felt at another: requests refused, streams closed."""

import base64
import http.client
import json
import os
import socket
import threading
import time

from browser import signed_in
from machine import HEADERS, get, say
from peers import Line, admin

RUNNING_OUT = 60


class At:
    """A client of one replica, on a connection of its own."""

    def __init__(self, gateway, cookie):
        self.gateway, self.cookie = gateway, cookie
        self.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def status(self):
        self.connection.request("GET", "/", headers={"Host": self.gateway.host, "Cookie": self.cookie, "Accept": "application/json"})
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


def session(here, there):
    """A new session, made at one replica and near at the other: the client there, and how operators name it."""
    cookie = signed_in(f"http://127.0.0.1:{here.port}/")
    client = At(there, cookie)
    # A replica that was cut off a moment ago may still say that it cannot know.
    end = time.monotonic() + RUNNING_OUT
    while (seen := [client.status() for _ in range(3)]) != [200] * 3:
        if time.monotonic() > end:
            raise RuntimeError(f"a session of one replica is none at the other: {seen}")
        time.sleep(0.1)
    sid = json.loads(get(f"http://127.0.0.1:{here.port}/oauth2/session", {"Cookie": cookie, "Host": here.host})[2])["sid"]
    return client, sid


def revoke(here, sid):
    """Answers when the revocation was acknowledged."""
    status = admin(here, "DELETE", f"/api/sessions/{sid}")[0]
    if status != 204:
        raise RuntimeError(f"the revocation got {status}")
    return time.perf_counter()


def until_refused(client, acknowledged):
    """(milliseconds to the end of the last request that was forwarded, to the first that was not), from the acknowledgement."""
    forwarded = acknowledged
    while True:
        status = client.status()
        now = time.perf_counter()
        if status != 200:
            return (forwarded - acknowledged) * 1e3, (now - acknowledged) * 1e3, status
        forwarded = now
        if now - acknowledged > RUNNING_OUT:
            raise RuntimeError("a revoked session is still served")


def refused(here, there, runs):
    """Normally: one revocation after the other."""
    rows = []
    for _ in range(runs):
        client, sid = session(here, there)
        rows.append(until_refused(client, revoke(here, sid)))
    return rows


def refused_cut_off(world, here, there, line, cuts, sessions):
    """While the other replica's wire to Redis says nothing any more: several sessions for each cut."""
    rows, lock = [], threading.Lock()
    for n in range(cuts):
        made = [session(here, there) for _ in range(sessions)]
        # The cut comes at any moment between two heartbeats.
        threading.Event().wait(0.5 * (n % 5) / 5)
        near(made)
        line.cut()

        def watch(client, sid):
            row = until_refused(client, revoke(here, sid))
            with lock:
                rows.append(row)

        threads = [threading.Thread(target=watch, args=one) for one in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        line.mend()
        wait_ready(there)
    return rows


def near(made):
    for client, _ in made:
        client.status()


def wait_ready(gateway):
    """Until it hears of Redis again."""
    end = time.monotonic() + 60
    while b"vestibule_store_up 1" not in get(f"{gateway.admin}/metrics")[2] or get(f"{gateway.admin}/readyz")[0] != 200:
        if time.monotonic() > end:
            raise RuntimeError("the replica does not find its way back to Redis")
        time.sleep(0.1)


def stream(gateway, cookie, kind):
    """An open stream behind a session, of which the first bytes have come."""
    one = socket.create_connection(("127.0.0.1", gateway.port), timeout=RUNNING_OUT)
    head = f"GET /live/{kind} HTTP/1.1\r\nHost: {gateway.host}\r\nCookie: {cookie}\r\nOrigin: http://{gateway.host}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in HEADERS[:1])
    if kind == "socket":
        key = base64.b64encode(os.urandom(16)).decode()
        head += f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    one.sendall(head.encode() + b"\r\n")
    got = b""
    while b"hello" not in got:
        data = one.recv(4096)
        if not data:
            raise RuntimeError(f"no stream: {got[:300]}")
        got += data
    return one


def until_closed(one, acknowledged):
    """Milliseconds to the first sign of the end: a WebSocket's close frame, or the end of an answer."""
    try:
        one.recv(4096)
    except ConnectionResetError:
        pass
    return (time.perf_counter() - acknowledged) * 1e3


def closed(here, there, kind, runs, line=None):
    rows = []
    for _ in range(runs):
        client, sid = session(here, there)
        one = stream(there, client.cookie, kind)
        if line:
            line.cut()
        rows.append(until_closed(one, revoke(here, sid)))
        one.close()
        if line:
            line.mend()
            wait_ready(there)
    return rows


def all_of(world, runs, cuts, sessions):
    """Two replicas, and a third whose wire to Redis can be cut."""
    here = world.vestibule()
    there = world.vestibule("replica", public_port=here.port)
    line = Line(world.ports["redis"])
    lonely = world.vestibule("replica-cut-off", public_port=here.port, redis_port=line.port, streams=STALENESS)
    say("  two replicas")
    found = {"staleness_ms": 2000, "refused": refused(here, there, runs)}
    say("  a replica cut off")
    found["refused_cut_off"] = refused_cut_off(world, here, lonely, line, cuts, sessions)
    say("  streams")
    for kind in ("events", "socket"):
        found[f"{kind}_closed"] = closed(here, there, kind, max(runs // 4, 3))
        found[f"{kind}_closed_cut_off"] = closed(here, lonely, kind, max(cuts // 2, 2), line)
    for one in (lonely, there, here):
        one.stop()
    return found


# The default of `near_cache.staleness`; here also that of `near_cache.streams`.
STALENESS = "2s"
