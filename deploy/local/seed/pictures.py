"""Pictures for gigs, drawn by the program: a soft gradient, the motif of the category, and the title.

The same gig has the same picture, byte by byte, with the same version of Pillow.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1200, 800
_SCALE = 2  # shapes are drawn larger and shrunk, so that their edges are smooth
_WHITE = (255, 255, 255)

Colour = tuple[int, int, int]
# Dark, middle and light colours, from left to right over the picture.
_PALETTES: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((34, 40, 98), (122, 80, 180), (255, 150, 140)),
    ((8, 66, 86), (24, 140, 140), (190, 230, 160)),
    ((90, 26, 64), (214, 80, 80), (255, 190, 110)),
    ((22, 52, 110), (50, 120, 210), (150, 220, 245)),
    ((40, 60, 40), (90, 140, 80), (235, 215, 130)),
    ((60, 30, 90), (190, 70, 150), (255, 180, 180)),
    ((26, 34, 46), (70, 96, 120), (240, 170, 110)),
)


def draw(title: str, category: str, seller: str, variant: int = 0) -> bytes:
    """Return a JPEG for a gig; each variant is another picture."""
    chance = random.Random(f"{title}/{variant}")  # noqa: S311  # repeatable, and no secret
    picture = _gradient(chance)
    _draw_over(picture, lambda draw_on: _bubbles(draw_on, chance), 30)
    motif = _MOTIFS.get(category, _rings)
    _draw_over(picture, lambda draw_on: motif(draw_on, chance), 90)
    _shade(picture)
    _write(picture, title if variant == 0 else "", seller)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def _gradient(chance: random.Random) -> Image.Image:
    """Return a mesh of a few colours, blended into each other."""
    palette = chance.choice(_PALETTES)
    mesh = Image.new("RGB", (4, 3))
    for x in range(4):
        for y in range(3):
            at = min(1.0, max(0.0, (x / 3 + y / 4) / 1.4 + chance.uniform(-0.14, 0.14)))
            mesh.putpixel((x, y), _blend(palette, at))
    return mesh.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def _blend(palette: tuple[Colour, Colour, Colour], at: float) -> Colour:
    first, second, share = (palette[0], palette[1], at * 2) if at < 0.5 else (palette[1], palette[2], at * 2 - 1)
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def _draw_over(picture: Image.Image, paint: Callable[[ImageDraw.ImageDraw], None], opacity: int) -> None:
    """Lay white shapes over the picture, as opaque as said (0 to 255)."""
    mask = Image.new("L", (WIDTH * _SCALE, HEIGHT * _SCALE))
    paint(ImageDraw.Draw(mask))
    mask = mask.reduce(_SCALE).point([value * opacity // 255 for value in range(256)])
    picture.paste(_WHITE, (0, 0), mask)


def _shade(picture: Image.Image) -> None:
    """Darken the lower part, so that the title can be read on every colour."""
    column = Image.new("L", (1, HEIGHT))
    for y in range(HEIGHT):
        column.putpixel((0, y), round(150 * max(0.0, (y / HEIGHT - 0.42) / 0.58) ** 1.3))
    picture.paste((8, 10, 24), (0, 0), column.resize((WIDTH, HEIGHT)))


def _write(picture: Image.Image, title: str, seller: str) -> None:
    """Write the title in the lower left, and the seller below."""
    canvas = ImageDraw.Draw(picture)
    small = ImageFont.load_default(30)
    canvas.text((72, HEIGHT - 84), seller, font=small, fill=(235, 235, 240))
    if not title:
        return
    large = ImageFont.load_default(66)
    lines = _wrapped(canvas, title, large, WIDTH - 200)
    top = HEIGHT - 116 - 78 * len(lines)
    canvas.rectangle((72, top - 30, 168, top - 24), fill=_WHITE)
    for number, line in enumerate(lines):
        canvas.text((70, top + 78 * number), line, font=large, fill=_WHITE)


def _wrapped(
    canvas: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and canvas.textlength(longer, font=font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


# Motifs: shapes in white on a canvas of twice the size, in the upper right.


def _bubbles(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    for _ in range(5):
        x, y, radius = chance.uniform(0, 2400), chance.uniform(0, 1500), chance.uniform(120, 520)
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=chance.randrange(90, 256))


def _rings(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    x, y = chance.uniform(1600, 1950), chance.uniform(420, 560)
    for radius in range(120, 640, 130):
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), outline=255, width=26)


def _code(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    y = 200
    for indent in (0, 1, 2, 2, 1, 2, 1, 0):
        left = 1240 + indent * 100
        while left < 2150 and (left == 1240 + indent * 100 or chance.random() < 0.7):
            length = chance.choice((90, 150, 230, 320))
            canvas.rounded_rectangle((left, y, left + length, y + 40), 20, fill=chance.choice((150, 255)))
            left += length + 44
        y += 88


def _bars(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    heights = [chance.uniform(160, 640) for _ in range(8)]
    for number, height in enumerate(sorted(heights[:5]) + heights[5:]):
        left = 1260 + number * 126
        canvas.rounded_rectangle((left, 880 - height, left + 84, 880), 18, fill=255 if number % 3 else 160)


def _sound(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    for number in range(34):
        envelope = math.sin(math.pi * (number + 1) / 35)
        half = 30 + 330 * envelope * chance.uniform(0.25, 1)
        left = 1000 + number * 38
        canvas.rounded_rectangle((left, 460 - half, left + 20, 460 + half), 10, fill=255)


def _play(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    x, y = chance.uniform(1650, 1850), 480
    canvas.ellipse((x - 330, y - 330, x + 330, y + 330), outline=255, width=36)
    canvas.polygon([(x - 110, y - 180), (x - 110, y + 180), (x + 200, y)], fill=255)
    for number in range(12):
        canvas.rounded_rectangle((60 + number * 200, 50, 180 + number * 200, 120), 16, fill=150)


def _lines(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    canvas.rounded_rectangle((1420, 120, 2180, 1040), 36, outline=255, width=24)
    for number in range(9):
        right = chance.uniform(1800, 2080) if number % 3 == 2 else 2080
        canvas.rounded_rectangle((1520, 230 + number * 84, right, 256 + number * 84), 13, fill=255)


def _lens(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    x, y, turn = chance.uniform(1650, 1850), 500, chance.uniform(0, 1)
    canvas.ellipse((x - 380, y - 380, x + 380, y + 380), outline=255, width=30)
    for blade in range(6):
        angle = turn + blade * math.pi / 3
        start = (x + 350 * math.cos(angle), y + 350 * math.sin(angle))
        end = (x + 350 * math.cos(angle + 2.0), y + 350 * math.sin(angle + 2.0))
        canvas.line([start, end], fill=255, width=22)


def _strokes(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    for number in range(5):
        phase, height = chance.uniform(0, 6), chance.uniform(60, 190)
        points = [
            (1000 + step * 14, 180 + number * 150 + height * math.sin(phase + step / 14) * step / 100)
            for step in range(100)
        ]
        canvas.line(points, fill=255 if number % 2 else 170, width=24 + 8 * number, joint="curve")


def _target(canvas: ImageDraw.ImageDraw, chance: random.Random) -> None:
    points = [(1000.0, 860.0)]
    while points[-1][0] < 2160:
        x, y = points[-1]
        points.append((x + 190, max(140, y - chance.uniform(-40, 230))))
    canvas.line(points, fill=255, width=34, joint="curve")
    for x, y in points:
        canvas.ellipse((x - 40, y - 40, x + 40, y + 40), fill=255)


_MOTIFS: dict[str, Callable[[ImageDraw.ImageDraw, random.Random], None]] = {
    "graphics-design": _strokes,
    "programming-tech": _code,
    "digital-marketing": _target,
    "writing-translation": _lines,
    "video-animation": _play,
    "music-audio": _sound,
    "business": _bars,
    "data-ai": _bars,
    "photography": _lens,
    "lifestyle": _rings,
}
