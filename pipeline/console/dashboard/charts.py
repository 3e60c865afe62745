"""Charts as inline SVG: title, text alternative, and always the data table beside them. No script, no image, no style attribute.

Colours are classes of `static/console.css`, so that the Content-Security-Policy can forbid inline styles.
Figures are drawn in user units on a canvas 640 wide, and once more on one of 300 for telephones, where every label has a line
of its own; the stylesheet shows the one that fits. Text is real text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 640
NARROW = 300
"""Canvas for screens of 320 pixels: what is left between the margins of a page."""
_LABEL = 190
_BAR = 18
_GAP = 10


@dataclass(frozen=True)
class Series:
    """One set of values; `tone` (1 to 5) picks its colour and, for those who do not see it, its order in the legend."""

    name: str
    values: Sequence[float]
    tone: int = 1


def both(draw: Callable[..., Markup], *arguments: object) -> Markup:
    """A chart twice, wide and narrow; one of them is shown, and read out, at a time."""
    return Markup("").join([draw(*arguments), draw(*arguments, narrow=True)])


def bars(
    title: str, labels: Sequence[str], series: Sequence[Series], unit: str = "", *, narrow: bool = False
) -> Markup:
    """Horizontal bars, stacked by series. The text alternative states the largest label and the total.

    With `narrow` the label stands above its bar, on a canvas of NARROW units.
    """
    totals = [sum(s.values[i] for s in series) for i in range(len(labels))]
    top = max(totals, default=0) or 1
    left, above, canvas = (0, 20, NARROW) if narrow else (_LABEL, 0, WIDTH)
    scale = (canvas - left - 70) / top
    row = _BAR + _GAP + above
    parts = []
    for i, label in enumerate(labels):
        y = 10 + i * row + above
        if narrow:
            parts.append(_text(0, y - 6, label, "chart-label"))
        else:
            parts.append(_text(left - 8, y + 14, label, "chart-label", anchor="end"))
        x = float(left)
        for s in series:
            width = s.values[i] * scale
            if width > 0:
                parts.append(
                    f'<rect class="chart-tone-{s.tone}" x="{x:.1f}" y="{y}" width="{max(width, 1):.1f}" height="{_BAR}">'
                    f"<title>{escape(label)}, {escape(s.name)}: {_number(s.values[i])}</title></rect>"
                )
            x += width
        parts.append(_text(x + 6, y + 14, _number(totals[i]) + unit, "chart-value"))
    return _svg(title, _bars_text(labels, totals, unit), len(labels) * row + 30, parts, canvas, narrow=narrow)


def lines(title: str, labels: Sequence[str], series: Sequence[Series], *, narrow: bool = False) -> Markup:
    """Lines over an ordered axis (weeks). One label in about eight (narrow: four) is drawn; all are in the table."""
    height, left, base, canvas = 240, 44, 200, NARROW if narrow else WIDTH
    top = max((v for s in series for v in s.values), default=0) or 1
    step = (canvas - left - 20) / max(len(labels) - 1, 1)
    parts = []
    for share in (0, 0.5, 1):
        y = base - share * 170
        parts.append(f'<line class="chart-grid" x1="{left}" x2="{canvas - 20}" y1="{y:.0f}" y2="{y:.0f}"/>')
        parts.append(_text(left - 6, y + 4, _number(round(top * share, 1)), "chart-value", anchor="end"))
    every = max(1, -(-len(labels) // (4 if narrow else 8)))
    for i, label in enumerate(labels):
        if i % every == 0:
            parts.append(_text(left + i * step, base + 20, label, "chart-value", anchor="middle"))
    for s in series:
        points = " ".join(f"{left + i * step:.1f},{base - v / top * 170:.1f}" for i, v in enumerate(s.values))
        parts.append(f'<polyline class="chart-line chart-line-{s.tone}" points="{points}"/>')
        if s.values:
            x, y = left + (len(s.values) - 1) * step, base - s.values[-1] / top * 170
            parts.append(f'<circle class="chart-tone-{s.tone}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
    text = "; ".join(f"{s.name}: {_number(sum(s.values))} in total" for s in series)
    return _svg(title, text, height, parts, canvas, narrow=narrow)


def score_bar(score: float, limits: Sequence[tuple[str, float]]) -> Markup:
    """A score on the scale of the bands: `limits` are (band's words, least score), the lowest band first, from 0 on.

    The scale ends at one and a half times the highest limit; a score beyond it fills the bar and says so.
    """
    names = [name for name, _ in limits]
    edges = [least for _, least in limits]
    end = max(edges[-1] * 1.5, 1.0)
    scale = (WIDTH - 20) / end
    parts = []
    for i, (name, least) in enumerate(zip(names, edges, strict=True)):
        until = edges[i + 1] if i + 1 < len(edges) else end
        parts.append(
            f'<rect class="score-band-{len(names) - i}" x="{10 + least * scale:.1f}" y="24" '
            f'width="{(until - least) * scale:.1f}" height="18"/>'
        )
        parts.append(_text(10 + (least + until) / 2 * scale, 62, name, "chart-value", anchor="middle"))
        if least > 0:
            parts.append(_text(10 + least * scale, 18, _number(least), "chart-value", anchor="middle"))
    x = 10 + min(score, end) * scale
    parts.append(f'<path class="score-mark" d="M{x:.1f} 22v22m-5 -26h10l-5 7z"/>')
    beyond = ", beyond the end of the scale" if score > end else ""
    text = f"Score {_number(round(score, 1))}{beyond}. Limits: " + ", ".join(
        f"{name} from {_number(least)}" for name, least in limits
    )
    return _svg("The score and the limits of the bands", text, 68, parts)


def bits_grid(query: bytes, known: bytes) -> Markup:
    """Where two 256-bit hashes differ: 16 rows of 16 squares, row by row from the first bit.

    A differing bit is a filled square with a cross, an equal bit an outline, so that shape as well as colour tells.
    Both are 32 bytes; raises ValueError otherwise.
    """
    if len(query) != 32 or len(known) != 32:
        raise ValueError("A 16 by 16 grid shows 256 bits.")
    different = differing_bits(query, known)
    cell, parts = 18, []
    for bit in range(256):
        x, y = 1 + bit % 16 * cell, 1 + bit // 16 * cell
        if bit in different:
            parts.append(f'<rect class="bit-differs" x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}"/>')
            parts.append(
                f'<path class="bit-cross" d="M{x + 4} {y + 4}L{x + 12} {y + 12}M{x + 12} {y + 4}L{x + 4} {y + 12}"/>'
            )
        else:
            parts.append(f'<rect class="bit-equal" x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}"/>')
    text = f"{len(different)} of 256 bits differ. Rows (from 1) that hold differing bits: {_rows(different)}."
    return _svg("Bits that differ between the two hashes", text, 16 * cell + 2, parts, width=16 * cell + 2)


def differing_bits(query: bytes, known: bytes) -> set[int]:
    """Positions (0 = first bit of the first byte) at which two hashes of equal length differ."""
    pairs = zip(query, known, strict=True)
    return {i * 8 + k for i, (a, b) in enumerate(pairs) for k in range(8) if (a ^ b) >> (7 - k) & 1}


def _rows(bits: set[int]) -> str:
    rows = sorted({bit // 16 + 1 for bit in bits})
    return ", ".join(map(str, rows)) if rows else "none"


def _bars_text(labels: Sequence[str], totals: Sequence[float], unit: str) -> str:
    if not labels:
        return "There is nothing to show."
    most = max(range(len(labels)), key=lambda i: totals[i])
    return (
        f"{len(labels)} bars, {_number(sum(totals))}{unit} in total; the longest is {labels[most]} "
        f"with {_number(totals[most])}{unit}."
    )


def _svg(
    title: str, text: str, height: int, parts: list[str], width: int = WIDTH, *, narrow: bool | None = None
) -> Markup:
    """`narrow` None: a picture for every screen."""
    body = "".join(parts)
    kind = "" if narrow is None else " chart--narrow" if narrow else " chart--wide"
    return Markup(  # noqa: S704 (every value in it is a number or escaped above)
        f'<svg class="chart{kind}" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'aria-label="{escape(title)}. {escape(text)}"><title>{escape(title)}</title><desc>{escape(text)}</desc>{body}</svg>'
    )


def _text(x: float, y: float, text: str, name: str, anchor: str = "start") -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
