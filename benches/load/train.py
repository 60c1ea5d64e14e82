"""What a binary that counts its own branches is asked, before the shipped one is laid out by those counts.

Requests as they come: mostly signed-in ones over HTTP/1.1, and everything else that is not rare, so that nothing of it is taken for rare.
"""

import re
import subprocess

import browser
import hot
from machine import say
from peers import Peer

BODY = 'wrk.method = "POST"\nwrk.body = string.rep("x", 300)\n'


def train(world):
    certificate, key = world.directory / "train.pem", world.directory / "train.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    ours = world.vestibule(tls=(certificate, key))
    host = f"127.0.0.1:{ours.port}"
    signed_in, public = Peer("signed in", ours, f"http://{host}/"), Peer("public", ours, f"http://{host}/open/")
    world.sign_in(signed_in)
    public.cookies = signed_in.cookies
    for peer, connections, seconds in ((signed_in, 16, 3), (signed_in, 64, 5), (signed_in, 256, 4), (public, 64, 4)):
        say(f"training: {peer.name}, {connections} connections")
        hot.wrk(world, peer, connections, seconds)
    say("training: bodies, TLS, HTTP/2")
    script = world.write("post.lua", BODY)
    hot.wrk_raw(["-c16", "-d2s", "-s", script, public.url], 2)
    done = hot.wrk_raw(["-c16", "-d2s", "-H", f"Host: {host}", "-H", f"Cookie: {signed_in.cookies[0]}", f"https://127.0.0.1:{ours.tls_port}/"], 2)
    if "Non-2xx" in done or "Socket errors" in done:
        raise RuntimeError(f"TLS was not answered as it should be:\n{done}")
    for scheme, port in (("http", ours.port), ("https", ours.tls_port)):
        h2load = ["h2load", "-c8", "-m8", "-D2", "-H", f":authority: {host}", "-H", f"cookie: {signed_in.cookies[0]}"]
        done = subprocess.run(hot.on_load_core([*h2load, f"{scheme}://127.0.0.1:{port}/"]), check=True, capture_output=True, text=True).stdout
        if not re.search(r"status codes: [1-9]\d* 2xx, 0 3xx, 0 4xx, 0 5xx", done):
            raise RuntimeError(f"HTTP/2 over {scheme} was not answered as it should be:\n{done}")
    say("training: logins")
    browser.logins(signed_in.url, 8, 5)
    ours.stop()
    misses = world.vestibule("vestibule-misses", sessions=1)
    peer = Peer("near-cache misses", misses, f"http://127.0.0.1:{misses.port}/")
    world.sign_in(peer, 50)
    say("training: near-cache misses")
    hot.wrk(world, peer, 16, 2)
    misses.stop()
