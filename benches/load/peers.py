"""What is measured, and what it needs around it: upstream, Redis, provider. All on loopback, all with the same upstream."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from browser import signed_in
from machine import GATEWAY_CORE, LOAD_CORE, ROOT, Process, free_port, get, install, path, redis_command, request, say

CLIENT, CLIENT_SECRET = "bench", "a-client-secret-of-no-value-0123456789"
ADMIN_TOKEN = "an-admin-token-of-no-value-0123456789"
PROVIDER_MODULES = ROOT / "tests" / "provider"
APACHE_MODULES = Path("/usr/lib/apache2/modules")
KEEP_ALIVE = "keepalive_timeout 3600s; keepalive_requests 1000000000;"
NGINX = """worker_processes 1; daemon off; pid @DIR@/nginx-@PORT@.pid; error_log stderr crit; worker_rlimit_nofile 20000;
events { worker_connections 19000; }
http {
  access_log off; tcp_nodelay on; default_type text/plain; large_client_header_buffers 8 32k;
  client_body_temp_path @DIR@/b; proxy_temp_path @DIR@/p; fastcgi_temp_path @DIR@/f; uwsgi_temp_path @DIR@/u; scgi_temp_path @DIR@/s;
  @KEEP@
  @HTTP@
}
"""


@dataclass
class Peer:
    """Something that requests go through."""

    name: str
    process: Process
    url: str
    cookies: list = field(default_factory=list)
    redis: bool = False       # sessions of its own in Redis: that one's CPU is shown beside


class World:
    """Everything that runs. `stop` ends all of it."""

    def __init__(self, directory, binary, oauth2_proxy):
        self.directory, self.binary, self.oauth2_proxy = Path(directory), binary, oauth2_proxy
        os.chmod(directory, 0o755)
        self.processes, self.absent = [], {}
        self.ports = {name: free_port() for name in ("upstream", "streams", "redis", "provider", *CALLBACKS)}
        self.secret = self.directory / "server-secret"
        self.secret.write_text(secrets.token_urlsafe(48))
        (self.directory / "client-secret").write_text(CLIENT_SECRET)
        (self.directory / "admin-token").write_text(ADMIN_TOKEN)
        for file in ("server-secret", "client-secret", "admin-token"):
            (self.directory / file).chmod(0o600)

    def process(self, name, command, core=GATEWAY_CORE, environment=None):
        one = Process(name, command, self.directory, core, environment)
        self.processes.append(one)
        return one

    def stop(self):
        for one in reversed(self.processes):
            one.stop()

    def write(self, name, text):
        file = self.directory / name
        file.write_text(text)
        return file

    # ---- around the gateways ----

    def surroundings(self):
        self.nginx_process("upstream", self.ports["upstream"], 'location / { return 200 "%s"; }' % ("x" * 1024), LOAD_CORE)
        port = self.ports["streams"]
        self.process("streams", ["python3", Path(__file__).with_name("upstream.py"), port], LOAD_CORE).wait_for(f"http://127.0.0.1:{port}/")
        port = self.ports["redis"]
        self.redis = self.process("redis", ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", self.directory], LOAD_CORE)
        wait_for_port(port)
        self.provider()

    def provider(self):
        """The certified oidc-provider: nobody's gateway answers its own logins."""
        lock = PROVIDER_MODULES / "package-lock.json"
        mark = PROVIDER_MODULES / "node_modules" / ".installed-from"
        if not mark.exists() or mark.read_bytes() != lock.read_bytes():
            say("installing the npm modules of tests/provider")
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=PROVIDER_MODULES, check=True, stdout=subprocess.DEVNULL)
            shutil.copy(lock, mark)
        port = self.ports["provider"]
        redirects = [f"http://127.0.0.1:{self.ports[name]}{callback}" for name, callback in CALLBACKS.items()]
        options = {"port": port, "client_id": CLIENT, "client_secret": CLIENT_SECRET, "access_token_ttl": 14400, "client": {"redirect_uris": redirects}}
        self.issuer = f"http://127.0.0.1:{port}"
        one = self.process("provider", ["node", PROVIDER_MODULES / "op.mjs", json.dumps(options)], LOAD_CORE)
        one.wait_for(f"{self.issuer}/.well-known/openid-configuration")

    def nginx_process(self, name, port, server, core, http=""):
        text = NGINX.replace("@HTTP@", f"{http} server {{ listen 127.0.0.1:{port} backlog=8192; {server} }}")
        for key, value in {"KEEP": KEEP_ALIVE, "DIR": str(self.directory), "PORT": str(port)}.items():
            text = text.replace(f"@{key}@", value)
        file = self.write(f"nginx-{port}.conf", text)
        return self.process(name, ["nginx", "-p", self.directory, "-c", file, "-e", "stderr"], core).wait_for(f"http://127.0.0.1:{port}/")

    # ---- gateways and proxies ----

    def vestibule(self, name="vestibule", core=GATEWAY_CORE, public_port=None, redis_port=None, sessions=100_000, streams="30s", access_log=False, tls=None):
        """A process with `/` behind a session, `/open` for everybody, and `/live` for streams."""
        port = self.ports.get(name) or free_port()
        admin, tls_port = free_port(), free_port()
        over_tls = f', {{ address = "127.0.0.1:{tls_port}", certificates = [{{ certificate = "{tls[0]}", key = "{tls[1]}" }}] }}' if tls else ""
        file = self.write(f"{name}.toml", f"""
            public_url = "http://127.0.0.1:{public_port or port}"
            listeners = [{{ address = "127.0.0.1:{port}" }}{over_tls}]
            [limits]
            logins_per_minute = "unlimited"
            idle_time = "1h"
            [admin]
            address = "127.0.0.1:{admin}"
            token = {{ file = "{self.directory}/admin-token" }}
            [session]
            store = "redis://127.0.0.1:{redis_port or self.ports['redis']}/0"
            secrets = [{{ file = "{self.secret}" }}]
            [session.near_cache]
            sessions = {sessions}
            streams = "{streams}"
            [providers.corp]
            issuer = "{self.issuer}"
            client_id = "{CLIENT}"
            client_secret = {{ file = "{self.directory}/client-secret" }}
            scopes = ["openid", "profile", "email"]
            [upstreams.app]
            url = "http://127.0.0.1:{self.ports['upstream']}"
            identity = {{ claims = ["email", "name"] }}
            [upstreams.live]
            url = "http://127.0.0.1:{self.ports['streams']}"
            [[routes]]
            upstream = "app"
            [[routes]]
            path = "/open"
            upstream = "app"
            access = "public"
            [[routes]]
            path = "/live"
            upstream = "live"
            [telemetry]
            log = "warn{',vestibule::access=info' if access_log else ''}"
            access_log = {str(access_log).lower()}
            format = "json"
            audit = []
            """)
        one = self.process(name, [self.binary, "serve", "--config", file], core)
        one.admin, one.port, one.tls_port = f"http://127.0.0.1:{admin}", port, tls_port
        one.config, one.near_sessions = file, sessions
        one.host = f"127.0.0.1:{public_port or port}"
        one.wait_for(f"{one.admin}/livez")
        while get(f"{one.admin}/readyz")[0] != 200:
            pass
        return one

    def proxies(self):
        """nginx and HAProxy, forwarding everything to everybody."""
        port, upstream = free_port(), self.ports["upstream"]
        http = f"upstream app {{ server 127.0.0.1:{upstream}; keepalive 512; {KEEP_ALIVE} }}"
        server = 'location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }'
        yield Peer("nginx proxy_pass", self.nginx_process("nginx", port, server, GATEWAY_CORE, http), f"http://127.0.0.1:{port}/")
        if install({"haproxy": "haproxy"}):
            self.absent["HAProxy"] = "not installable here"
            return
        port = free_port()
        file = self.write("haproxy.cfg", f"""
global
  maxconn 9000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout http-keep-alive 3600s
  option forwardfor
  http-reuse always
frontend all
  bind 127.0.0.1:{port}
  default_backend app
backend app
  server app 127.0.0.1:{upstream} pool-max-conn 1024
""")
        one = self.process("haproxy", ["haproxy", "-db", "-f", file])
        yield Peer("HAProxy", one.wait_for(f"http://127.0.0.1:{port}/"), f"http://127.0.0.1:{port}/")

    def others(self):
        """Gateways with sessions in Redis, in their default settings but for a line of log per request, which none of them writes."""
        if self.oauth2_proxy:
            port = self.ports["oauth2-proxy"]
            one = self.process("oauth2-proxy", [
                self.oauth2_proxy, f"--http-address=127.0.0.1:{port}", f"--upstream=http://127.0.0.1:{self.ports['upstream']}/",
                "--provider=oidc", f"--oidc-issuer-url={self.issuer}", "--scope=openid email profile", "--code-challenge-method=S256",
                f"--client-id={CLIENT}", f"--client-secret={CLIENT_SECRET}", f"--redirect-url=http://127.0.0.1:{port}/oauth2/callback",
                "--skip-provider-button", "--email-domain=*", f"--cookie-secret={secrets.token_hex(16)}", "--cookie-secure=false",
                "--session-store-type=redis", f"--redis-connection-url=redis://127.0.0.1:{self.ports['redis']}/1",
                "--request-logging=false", "--auth-logging=false", "--standard-logging=false",
            ])
            one.wait_for(f"http://127.0.0.1:{port}/ping")
            yield Peer("oauth2-proxy + Redis", one, f"http://127.0.0.1:{port}/", redis=True)
        else:
            self.absent["oauth2-proxy + Redis"] = "no oauth2-proxy binary (--oauth2-proxy)"
        if install({"apache2": "apache2", str(APACHE_MODULES / "mod_auth_openidc.so"): "libapache2-mod-auth-openidc"}):
            self.absent["mod_auth_openidc + Redis"] = "not installable here"
            return
        port = self.ports["mod_auth_openidc"]
        yield Peer("mod_auth_openidc + Redis", self.apache(port), f"http://127.0.0.1:{port}/", redis=True)

    def apache(self, port):
        modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http", "auth_openidc"]
        load = "\n".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in modules)
        file = self.write("apache.conf", f"""
ServerRoot {self.directory}
ServerName 127.0.0.1
PidFile {self.directory}/apache.pid
ErrorLog /dev/stderr
LogLevel warn
DefaultRuntimeDir {self.directory}
Mutex posixsem
{"User www-data" if os.geteuid() == 0 else ""}
{"Group www-data" if os.geteuid() == 0 else ""}
{load}
Listen 127.0.0.1:{port}
ServerLimit 2
StartServers 2
ThreadsPerChild 192
ThreadLimit 192
MaxRequestWorkers 384
MinSpareThreads 1
MaxSpareThreads 384
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 3600
ListenBacklog 8192
ProxyPreserveHost On
ProxyPass /redirect_uri !
ProxyPass / http://127.0.0.1:{self.ports['upstream']}/ max=384 ttl=3600
OIDCProviderMetadataURL {self.issuer}/.well-known/openid-configuration
OIDCClientID {CLIENT}
OIDCClientSecret {CLIENT_SECRET}
OIDCRedirectURI http://127.0.0.1:{port}/redirect_uri
OIDCCryptoPassphrase {secrets.token_hex(16)}
OIDCScope "openid email profile"
OIDCPKCEMethod S256
OIDCSessionType server-cache
OIDCCacheType redis
OIDCRedisCacheServer 127.0.0.1:{self.ports['redis']}
OIDCPassClaimsAs headers
OIDCSessionInactivityTimeout 7200
OIDCSessionMaxDuration 14400
OIDCCookieSameSite Off
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
""")
        one = self.process("mod_auth_openidc", ["apache2", "-DFOREGROUND", "-f", file])
        return one.wait_for(f"http://127.0.0.1:{port}/")

    def sign_in(self, peer, sessions=1):
        peer.cookies = [signed_in(peer.url) for _ in range(sessions)]
        status, _, body = get(peer.url, {"Cookie": peer.cookies[0]})
        if status != 200 or len(body) != 1024:
            raise RuntimeError(f"{peer.name}: {status} with a session")
        status, _, body = get(peer.url)
        if status == 200 and len(body) == 1024:
            raise RuntimeError(f"{peer.name} lets requests without a session through")


# Where the provider sends browsers back to; the name is also that of the process.
CALLBACKS = {
    "vestibule": "/oauth2/callback",
    "vestibule-misses": "/oauth2/callback",
    "vestibule-logging": "/oauth2/callback",
    "oauth2-proxy": "/oauth2/callback",
    "mod_auth_openidc": "/redirect_uri",
}


def admin(gateway, method, target, body=None):
    return request(method, gateway.admin + target, {"Authorization": f"Bearer {ADMIN_TOKEN}"}, body)


def readings(gateway):
    """Its own counters, labels added up: name without the prefix -> value."""
    found = {}
    for line in get(f"{gateway.admin}/metrics")[2].decode().splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            name = name.split("{")[0].removeprefix("vestibule_").removesuffix("_total")
            found[name] = found.get(name, 0) + float(value)
    return found


def wait_for_port(port):
    for _ in range(200):
        try:
            return redis_command(port, "PING")
        except OSError:
            threading.Event().wait(0.05)
    raise RuntimeError(f"nothing listens on {port}")


class Line:
    """The wire between one replica and Redis. `cut` lets nothing through any more, and says so to nobody."""

    def __init__(self, to):
        self.to, self.whole = to, threading.Event()
        self.whole.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def cut(self):
        self.whole.clear()

    def mend(self):
        self.whole.set()

    def accept(self):
        while True:
            one, _ = self.listener.accept()
            other = socket.create_connection(("127.0.0.1", self.to))
            for source, sink in ((one, other), (other, one)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.carry, args=(source, sink), daemon=True).start()

    def carry(self, source, sink):
        try:
            while data := source.recv(65536):
                self.whole.wait()
                sink.sendall(data)
        except OSError:
            pass
        # The end of a connection is news too.
        self.whole.wait()
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
