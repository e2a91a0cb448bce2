"""A reliability diagram: what a confidence promises beside what comes true, as one SVG that needs nothing else."""

from collections.abc import Sequence
from html import escape

from seq2seq.decode.confidence import Bin

LEFT, TOP, SIDE, BELOW = 60, 30, 340, 60  # units: where the square begins, its side, and the room of the counts
STYLE = """
svg { --ink: #1d1f21; --soft: #5b6167; --line: #d9dcdf; --bar: #4a86b8; --second: #b4552d; background: #fcfcfb; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6e7e8; --soft: #a2a9af; --line: #3a3f44; --bar: #5b93c4; --second: #e0936f; background: #17191b; } }
text { fill: var(--soft); font: 12px system-ui, sans-serif; } .title { fill: var(--ink); font-size: 14px; }
rect { fill: var(--bar); } circle { fill: var(--second); } .grid { stroke: var(--line); } .axis { stroke: var(--soft); }
.ideal { stroke: var(--soft); stroke-dasharray: 4 4; }
polyline { fill: none; stroke: var(--second); stroke-width: 2; stroke-linejoin: round; }
"""


def reliability_svg(bins: Sequence[Bin], title: str) -> str:
    """Draws a reliability diagram: mean chrF / 100 over mean confidence; below it how many translations stand where.

    Args:
        bins: at least one of them with a translation.
        title: text, shown above.
    """
    found = [one for one in bins if one.count]
    points = [(LEFT + SIDE * one.confidence, TOP + SIDE * (1 - one.quality), one) for one in found]
    floor, tallest = TOP + SIDE + BELOW + 20, max(one.count for one in found)
    summary = "; ".join(f"{one.confidence:.2f}: {one.quality:.2f} ({one.count:,})" for one in found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + SIDE + 20} {floor + 50}" role="img" '
        f'aria-label="{escape(title)}: mean chrF / 100 for each mean confidence: {summary}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = LEFT + SIDE * share, TOP + SIDE * (1 - share)
        parts += [
            f'<line class="grid" x1="{LEFT}" y1="{y:g}" x2="{LEFT + SIDE}" y2="{y:g}"/>',
            f'<line class="grid" x1="{x:g}" y1="{TOP}" x2="{x:g}" y2="{TOP + SIDE}"/>',
            f'<text x="{LEFT - 6}" y="{y + 4:g}" text-anchor="end">{share:g}</text>',
            f'<text x="{x:g}" y="{floor + 18}" text-anchor="middle">{share:g}</text>',
        ]
    parts.append(f'<line class="ideal" x1="{LEFT}" y1="{TOP + SIDE}" x2="{LEFT + SIDE}" y2="{TOP}"/>')
    for one in found:
        height = BELOW * one.count / tallest
        parts.append(
            f'<rect x="{LEFT + SIDE * one.low + 1:.1f}" y="{floor - height:.1f}" '
            f'width="{SIDE * (one.high - one.low) - 2:.1f}" height="{height:.1f}">'
            f"<title>{one.low:g} to {one.high:g}: {one.count:,} translations</title></rect>"
        )
    parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)}"/>')
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"><title>confidence {one.confidence:.3f}, quality {one.quality:.3f}, '
        f"{one.count:,} translations</title></circle>"
        for x, y, one in points
    ]
    middle = TOP + SIDE / 2
    parts += [
        f'<line class="axis" x1="{LEFT}" y1="{floor}" x2="{LEFT + SIDE}" y2="{floor}"/>',
        f'<text x="{LEFT - 6}" y="{floor - BELOW + 8}" text-anchor="end">{tallest:,}</text>',
        f'<text x="{LEFT + SIDE / 2:g}" y="{floor + 40}" text-anchor="middle">confidence; bars: translations</text>',
        f'<text x="16" y="{middle:g}" text-anchor="middle" transform="rotate(-90 16 {middle:g})">'
        "mean chrF / 100</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
