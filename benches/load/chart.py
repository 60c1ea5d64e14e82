"""The chart of docs/performance.md: one bar for each peer, as SVG."""

from html import escape

WIDTH, LEFT, RIGHT, ROW, TOP, BOTTOM = 900, 250, 170, 34, 64, 34
INK, SOFT, GRID = "#1f2933", "#52606d", "#e4e7eb"
OURS, PLAIN, REDIS = "#0b7285", "#9aa5b1", "#e8a87c"


def svg(title, subtitle, bars):
    """`bars`: (label, µs in the process, µs in Redis, ours?, note), drawn in that order."""
    most = max(own + redis for _, own, redis, _, _ in bars) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    height = TOP + ROW * len(bars) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="28" font-size="17" font-weight="600" fill="{INK}">{escape(title)}</text>',
        f'<text x="16" y="48" font-size="12" fill="{SOFT}">{escape(subtitle)}</text>',
    ]
    for tick in ticks(most):
        x = LEFT + tick * scale
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - BOTTOM}" stroke="{GRID}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - BOTTOM + 16}" font-size="11" fill="{SOFT}" text-anchor="middle">{tick:g} µs</text>')
    for n, (label, own, redis, ours, note) in enumerate(bars):
        y = TOP + ROW * n
        weight = ' font-weight="600"' if ours else ""
        parts.append(f'<text x="{LEFT - 10}" y="{y + 22}" font-size="13" fill="{INK}" text-anchor="end"{weight}>{escape(label)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y + 7}" width="{max(own * scale, 1):.1f}" height="{ROW - 13}" rx="2" fill="{OURS if ours else PLAIN}"/>')
        if redis >= 0.5:
            parts.append(f'<rect x="{LEFT + own * scale:.1f}" y="{y + 7}" width="{redis * scale:.1f}" height="{ROW - 13}" rx="2" fill="{REDIS}"/>')
        parts.append(f'<text x="{LEFT + (own + redis) * scale + 8:.1f}" y="{y + 22}" font-size="12" fill="{SOFT}">{escape(note)}</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def ticks(most):
    """Three to six round steps up to the longest bar."""
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000) if most / size <= 6)
    return [step * n for n in range(int(most / step) + 1)]
