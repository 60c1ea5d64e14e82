"""What the measurements stand on: packages, processes on their own core, their CPU time and memory, plain HTTP."""

import contextlib
import http.client
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TICK = os.sysconf("SC_CLK_TCK")
# The gateway has a core to itself where there are two; load, upstream, Redis and provider share the other.
CORES = sorted(os.sched_getaffinity(0))
GATEWAY_CORE, LOAD_CORE = (CORES[0], CORES[1]) if len(CORES) > 1 else (None, None)

# What a browser sends, more or less; the same to every peer.
HEADERS = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
]


def say(text):
    print(text, file=sys.stderr, flush=True)


def install(wanted):
    """`wanted`: command (or file) -> Debian package. Answers what is still not there."""
    missing = {package for command, package in wanted.items() if not there(command)}
    if missing and shutil.which("apt-get"):
        say(f"installing: {' '.join(sorted(missing))}")
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        # RUNLEVEL=1: none of them is to start as a service.
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
        subprocess.run([*root, "apt-get", "update", "-qq"], stdout=subprocess.DEVNULL, check=False)
        for package in sorted(missing):
            subprocess.run(
                [*root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
                env=environment, stdout=subprocess.DEVNULL, check=False,
            )
    return {command for command in wanted if not there(command)}


def there(command):
    return Path(command).exists() if command.startswith("/") else shutil.which(command, path=path()) is not None


def path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def raise_limits():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Process:
    """One process that we started, on its core; ended by its id."""

    def __init__(self, name, command, directory, core, environment=None):
        self.name, self.log = name, Path(directory) / (re.sub(r"\W+", "-", name) + ".log")
        pin = ["taskset", "-c", str(core)] if core is not None else []
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*pin, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory,
                env=dict(os.environ, PATH=path(), **(environment or {})), start_new_session=True,
            )
        self.pid = self.process.pid

    def stop(self):
        family = self.family()
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(8)
        for pid in family:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def wait_for(self, url, headers=None, seconds=30):
        """Until it answers below 500."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if get(url, headers)[0] < 500:
                    return self
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not answer at {url}:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def family(self):
        """It and its descendants."""
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    todo += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        return found

    def cpu(self):
        """(user, system) in seconds, by the kernel's account; children that have ended count too."""
        user = system = 0
        for pid in self.family():
            with contextlib.suppress(OSError):
                field = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                user += int(field[11]) + int(field[13])
                system += int(field[12]) + int(field[14])
        return user / TICK, system / TICK

    def resident(self):
        """Bytes in memory."""
        total = 0
        for pid in self.family():
            with contextlib.suppress(OSError, TypeError):
                total += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024
        return total


def request(method, url, headers=None, body=None, seconds=20):
    """One request on a connection of its own: status, headers, body."""
    host, target = re.match(r"http://([^/]+)(/.*)?$", url).groups()
    connection = http.client.HTTPConnection(host, timeout=seconds)
    try:
        connection.request(method, target or "/", body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def get(url, headers=None):
    return request("GET", url, headers)


def redis_command(port, *words):
    """One command; the answer as raw text (a number, a line, or a bulk)."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as one, one.makefile("rb") as answer:
        one.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words))
        line = answer.readline()
        return answer.read(int(line[1:])).decode() if line[:1] == b"$" else line[1:].decode().strip()


def redis_calls(port):
    """What that Redis has carried out so far: command -> calls."""
    text = redis_command(port, "INFO", "commandstats")
    return {m[1]: int(m[2]) for m in re.finditer(r"cmdstat_(\S+?):calls=(\d+)", text) if m[1] != "info"}


def describe():
    """The machine, for the results."""
    processor = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": processor[1] if processor else os.uname().machine,
        "cores": len(CORES),
        "memory_gib": round(int(memory[1]) / 1024 / 1024) if memory else None,
        "kernel": os.uname().release,
        "load_average_at_start": os.getloadavg()[0],
    }
