"""From rows to ratios, the table against the targets, and the files in docs/performance."""

import json
import statistics
import sys

import chart

HOT, PUBLIC = "Vestibule, signed in", "Vestibule, public route"
MISS, LOGGING = "Vestibule, near-cache misses", "Vestibule, with access log"
NGINX, HAPROXY = "nginx proxy_pass", "HAProxy"
OAUTH2_PROXY, MOD_AUTH = "oauth2-proxy + Redis", "mod_auth_openidc + Redis"
PEERS = (HOT, PUBLIC, NGINX, HAPROXY, OAUTH2_PROXY, MOD_AUTH, MISS, LOGGING)

# What the near cache counts as one session.
SESSION_BYTES = 8 * 1024
# Milliseconds between a timer and the closed socket.
TURN = 100


def write(results, out):
    text = markdown(results)
    sys.stdout.write(text)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(in_lines(results))
    (out / "results.md").write_text(text)
    bars = bars_of(results)
    if bars:
        (out / "chart.svg").write_text(chart.svg(
            "CPU time per request", f"HTTP/1.1, 64 connections, 1 KiB, one core; medians; Redis' share in orange. {results['date']}", bars))


def in_lines(results):
    """As JSON with a line for each row."""
    def of(value):
        return "[\n" + ",\n".join(map(json.dumps, value)) + "\n]" if isinstance(value, list) else json.dumps(value)
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {of(value)}" for key, value in results.items()) + "\n}\n"


# ---- figures -----------------------------------------------------------------------------------------------------------

def values(rows, peer, connections, key="cpu_us"):
    return [row[key] for row in rows if row["peer"] == peer and row.get("connections") == connections]


def paired(rows, above, below, connections=None):
    """One peer's CPU over another's in the same round, for each round."""
    at = {(row["peer"], row.get("connections"), row["round"]): row["cpu_us"] for row in rows}
    return [cpu / at[below, c, n] for (peer, c, n), cpu in at.items() if peer == above and c == connections and (below, c, n) in at]


def spread(numbers, form="{:.2f}"):
    """Median (smallest–largest)."""
    if not numbers:
        return "–"
    return f"{form.format(statistics.median(numbers))} ({form.format(min(numbers))}–{form.format(max(numbers))})"


def quarters(numbers):
    """Median, and between what half of them are."""
    if not numbers:
        return "–"
    return f"{statistics.median(numbers):.3g} ({percentile(numbers, 25):.2f}–{percentile(numbers, 75):.2f}, {len(numbers)} pairs)"


def percentile(numbers, part):
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part / 100))]


# ---- targets -----------------------------------------------------------------------------------------------------------

def targets(results):
    """(what, target, measured as text, the deciding number or None, whether less is better)"""
    rows, logins = results.get("rounds", []), results.get("logins", [])

    def ratio(what, above, below, connections, most=None, least=None, source=rows):
        numbers = paired(source, above, below, connections)
        target = f"≤ {most:g}" if most is not None else f"≥ {least:g}"
        return what, target, quarters(numbers), holds(statistics.median(numbers), most, least) if numbers else None

    yield ratio("signed in / public route, c=64", HOT, PUBLIC, 64, most=1.05)
    for c in (16, 64, 256):
        yield ratio(f"signed in / nginx without authentication, c={c}", HOT, NGINX, c, most=1.10)
    yield ratio("mod_auth_openidc + Redis / signed in, c=64", MOD_AUTH, HOT, 64, least=19)
    yield ratio("oauth2-proxy + Redis / signed in, c=64", OAUTH2_PROXY, HOT, 64, least=11.5)
    yield ratio("near-cache miss / hit, c=64", MISS, HOT, 64, most=2.5)
    yield ratio("login: oauth2-proxy / Vestibule", OAUTH2_PROXY, HOT, None, least=3, source=logins)
    hits = [row for row in rows if row["peer"] == HOT]
    if hits:
        done = sum(row["done"] for row in hits)
        misses, signed, asked = (sum(row["counted"][name] for row in hits) for name in ("near_cache_misses", "signatures", "store_commands"))
        seconds = sum(row["seconds"] for row in hits)
        yield "trips to Redis for a session, hot requests", "0", f"{misses:.0f} in {done:,} requests", misses == 0 and asked <= seconds * 10
        # One for each half of a token's life, however many requests there are; also while others have their turn.
        most = 1 + (max(row["ended"] for row in hits) - min(row["began"] for row in hits)) // 30
        yield "signatures, hot requests", f"0 (one in 30 s: {most:.0f})", f"{signed:.0f} in {done:,} requests", signed <= most and all(row["counted"]["signatures"] <= 1 + row["seconds"] // 30 for row in hits)
        # All of the gateways' on that Redis, whoever asks: heartbeats, activity, and what the requests themselves would cause.
        commands = sum(sum(row["redis_calls"].values()) for row in hits)
        yield "Redis commands beside (heartbeats, activity, of all gateways there)", "not by request", f"{commands / seconds:.0f} a second", commands < done / 100
    for row in results.get("calls", []):
        if row["peer"] == HOT:
            yield "system calls of a hot request, c=64", "≤ 4.7", f"{row['per_request']:.2f}", row["per_request"] <= 4.7
    for row in results.get("memory", []):
        if row["peer"] == HOT:
            yield "memory of an idle keep-alive connection", "≤ 12 KB", f"{row['bytes_each'] / 1000:.1f} KB", row["bytes_each"] <= 12_000
    if found := results.get("crowd"):
        # Until the near cache is full it fills; from then on the process has all that it needs.
        weights = [step["near_bytes"] for step in found["steps"]]
        full = next(n for n, weight in enumerate(weights) if weight >= 0.95 * max(weights))
        first, most = found["steps"][full]["resident"], max(step["resident"] for step in found["steps"][full:])
        yield (f"{found['count']:,} sessions passing through: memory after all, over that with the near cache first full", "≤ 1.1",
               f"{most / first:.2f} ({first / 2**20:.0f} MiB after {found['steps'][full]['passed']:,}, {most / 2**20:.0f} MiB at most; {found['failed']} failed)",
               most <= 1.1 * first and found["failed"] == 0 and found["misses"] >= found["count"] and full < len(weights) // 2)
        bound = found["near_sessions"] * SESSION_BYTES
        yield f"… the near cache by weight (`near_cache.sessions` = {found['near_sessions']:,})", f"≤ {bound / 2**20:.0f} MiB", f"{max(weights) / 2**20:.0f} MiB", max(weights) <= bound
    if found := results.get("revocation"):
        first = [row[1] for row in found["refused"]]
        yield "revoked → refused at another replica", "median < 50 ms", f"{timing(first)}", statistics.median(first) < 50
        last, bound = [row[0] for row in found["refused_cut_off"]], found["staleness_ms"]
        yield "… the same, that replica silently cut off: last one served", f"≤ {bound} ms", timing(last), max(last) <= bound
        for kind, name in (("events", "server-sent events"), ("socket", "WebSocket")):
            took, cut = found[f"{kind}_closed"], found[f"{kind}_closed_cut_off"]
            yield f"revoked → {name} elsewhere closed", "median < 50 ms", timing(took), statistics.median(took) < 50
            # Closing is noticed by a timer, and what closes by a process that has to get its turn.
            yield f"… the same, cut off (`streams` = {bound} ms)", f"≤ {bound} ms and {TURN} for the timer", timing(cut), max(cut) <= bound + TURN


def holds(number, most, least):
    return number <= most if most is not None else number >= least


def timing(numbers):
    p99 = f", p99 {percentile(numbers, 99):.1f}" if len(numbers) >= 100 else ""
    return f"median {statistics.median(numbers):.1f} ms{p99}, longest {max(numbers):.1f} ({len(numbers)} runs)"


# ---- text --------------------------------------------------------------------------------------------------------------

def markdown(results):
    machine, rows = results["machine"], results.get("rounds", [])
    out = [f"Measured {results['date']}: {machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, Linux {machine['kernel']}; "
           f"load average before the run {machine['load_average_at_start']:.1f}."]
    if results["quick"]:
        out.append("\n**A quick run: it shows that the measurement works and decides nothing.**")
    out += ["\n| what | target | measured | |", "|---|---|---|---|"]
    out += [f"| {what} | {target} | {text} | {'–' if held is None else 'holds' if held else '**missed**'} |" for what, target, text, held in targets(results)]
    for name, why in results["absent"].items():
        out.append(f"\n{name}: not measured, {why}.")
    for c in sorted({row["connections"] for row in rows}):
        out += [f"\n### {c} connections\n",
                "| | CPU µs/request | user / system | over nginx, paired | Redis µs | requests/s | p50 / p99 ms | core busy | failed |", "|---|---|---|---|---|---|---|---|---|"]
        for peer in (peer for peer in PEERS if values(rows, peer, c)):
            def median(key, peer=peer, c=c):
                return statistics.median(values(rows, peer, c, key))
            redis = f"{median('redis_us'):.1f}" if peer in (OAUTH2_PROXY, MOD_AUTH, MISS) else "–"
            out.append(
                f"| {peer} | {spread(values(rows, peer, c), '{:.1f}')} | {median('user_us'):.1f} / {median('system_us'):.1f} | {spread(paired(rows, peer, NGINX, c))} "
                f"| {redis} | {median('per_second'):.0f} | {median('p50_us') / 1e3:.2f} / {median('p99_us') / 1e3:.1f} | {median('busy'):.0%} | {sum(values(rows, peer, c, 'failed'))} |")
    if logins := results.get("logins"):
        out += ["\n### Logins\n", "| | CPU ms/login | Redis ms | Redis commands | logins/s | failed |", "|---|---|---|---|---|---|"]
        for peer in dict.fromkeys(row["peer"] for row in logins):
            mine = [row for row in logins if row["peer"] == peer]
            calls = sum(n for row in mine for name, n in row["redis_calls"].items()) / max(sum(row["done"] for row in mine), 1)
            out.append(f"| {peer.split(',')[0]} | {spread([row['cpu_us'] / 1e3 for row in mine])} | {statistics.median(row['redis_us'] for row in mine) / 1e3:.2f} | {calls:.1f} "
                       f"| {statistics.median(row['per_second'] for row in mine):.0f} | {sum(row['failed'] for row in mine)} |")
    if calls := results.get("calls"):
        out += ["\n### System calls per request, 64 connections\n", "| | in all | of these |", "|---|---|---|"]
        for row in calls:
            named = ", ".join(f"{name} {n:.2f}" for name, n in list(row["by_name"].items())[:7])
            out.append(f"| {row['peer']} | {row['per_request']:.2f} | {named} |")
    if memory := results.get("memory"):
        out += ["\n### Memory of an idle keep-alive connection\n", "| | KB each | process before, MiB |", "|---|---|---|"]
        out += [f"| {row['peer'].split(',')[0]} | {row['bytes_each'] / 1000:.1f} | {row['resident_before'] / 2**20:.1f} |" for row in memory]
    return "\n".join(out) + "\n"


def bars_of(results):
    rows, bars = results.get("rounds", []), []
    for peer in (NGINX, HAPROXY, PUBLIC, HOT, MISS, OAUTH2_PROXY, MOD_AUTH):
        if not (own := values(rows, peer, 64)):
            continue
        redis = statistics.median(values(rows, peer, 64, "redis_us")) if peer in (OAUTH2_PROXY, MOD_AUTH, MISS) else 0.0
        over = paired(rows, peer, NGINX, 64)
        note = f"{statistics.median(own):.1f} µs" + (f", {statistics.median(over):.2f} × nginx" if over else "")
        bars.append((peer, statistics.median(own), redis, peer.startswith("Vestibule"), note))
    return bars
