"""Pictures for the smoke test: drawn from a seed, with questions and the exact answers.

One picture is one coloured shape on a plain background, left, right, at the top or at the
bottom, and a two-digit number on the side opposite to it.  Nothing here depends on a font, on
antialiasing or on how a Pillow version rasterises polygons: every shape is a list of horizontal
runs computed with integers, every digit is made of seven straight strokes, and all of it is
pasted as axis-aligned boxes.  So one seed gives the same bytes with every Pillow.

The module needs the standard library and Pillow, imports Pillow only to draw, and runs on
Python 3.9, because the target's own interpreter imports it.  Lengths are in pixels, x to the
right, y down.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

Run = tuple[int, int, int]
"""One horizontal run of a shape: row, first column, one past the last column."""

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

SHAPES: tuple[str, ...] = (
    "circle",
    "square",
    "triangle",
    "star",
    "cross",
    "diamond",
    "ring",
    "crescent",
)
COLOURS: dict[str, Colour] = {
    "red": (220, 30, 30),
    "yellow": (245, 220, 40),
    "green": (30, 150, 50),
    "blue": (35, 60, 220),
    "purple": (150, 40, 180),
    "grey": (128, 128, 128),
    "white": (245, 245, 245),
    "black": (12, 12, 12),
}
POSITIONS: tuple[str, ...] = ("left", "right", "top", "bottom")
NUMBERS = range(10, 100)

SIZES: tuple[tuple[int, int], ...] = (
    # Width, height.  The first five reach the model as they are, the others are resized.
    (128, 128),
    (128, 96),
    (96, 128),
    (160, 96),
    (96, 160),
    (80, 80),
    (100, 100),
    (144, 144),
    (190, 190),
    (256, 256),
    (333, 333),
    (100, 75),
    (172, 130),
    (256, 192),
    (400, 300),
    (75, 100),
    (130, 172),
    (192, 256),
    (300, 400),
    (200, 120),
    (320, 192),
    (420, 250),
    (120, 200),
    (192, 320),
    (250, 420),
)
NATIVE_SIZES = 5
"""How many of SIZES, from the first, need no resizing."""

LANGUAGES: tuple[str, ...] = ("en", "ru")
QUESTIONS: dict[str, dict[str, str]] = {
    "shape": {"en": "What is in the picture?", "ru": "Что на картинке?"},
    "position": {"en": "Where is the shape?", "ru": "Где фигура?"},
    "number": {"en": "What number is in the picture?", "ru": "Какое число на картинке?"},
    "all": {"en": "Describe the picture.", "ru": "Опиши картинку."},
}
UNSEEN: dict[str, str] = {
    "en": "I cannot see the picture.",
    "ru": "Я не вижу картинку.",
}
"""What the model was taught to say when the picture reached it damaged or not at all."""

# Russian: the noun, and its gender, which the adjective follows.
_SHAPES_RU: dict[str, tuple[str, str]] = {
    "circle": ("круг", "m"),
    "square": ("квадрат", "m"),
    "triangle": ("треугольник", "m"),
    "star": ("звезда", "f"),
    "cross": ("крест", "m"),
    "diamond": ("ромб", "m"),
    "ring": ("кольцо", "n"),
    "crescent": ("полумесяц", "m"),
}
# Russian: masculine, feminine, neuter nominative, and masculine prepositional ("на … фоне").
_COLOURS_RU: dict[str, dict[str, str]] = {
    "red": {"m": "красный", "f": "красная", "n": "красное", "on": "красном"},
    "yellow": {"m": "жёлтый", "f": "жёлтая", "n": "жёлтое", "on": "жёлтом"},
    "green": {"m": "зелёный", "f": "зелёная", "n": "зелёное", "on": "зелёном"},
    "blue": {"m": "синий", "f": "синяя", "n": "синее", "on": "синем"},
    "purple": {"m": "фиолетовый", "f": "фиолетовая", "n": "фиолетовое", "on": "фиолетовом"},
    "grey": {"m": "серый", "f": "серая", "n": "серое", "on": "сером"},
    "white": {"m": "белый", "f": "белая", "n": "белое", "on": "белом"},
    "black": {"m": "чёрный", "f": "чёрная", "n": "чёрное", "on": "чёрном"},
}
_POSITIONS_EN: dict[str, str] = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
}
_POSITIONS_RU: dict[str, str] = {
    "left": "слева",
    "right": "справа",
    "top": "сверху",
    "bottom": "снизу",
}
_UNITS: dict[str, str] = {
    "en": "zero one two three four five six seven eight nine",
    "ru": "ноль один два три четыре пять шесть семь восемь девять",
}
_TEENS: dict[str, str] = {
    "en": "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
    "ru": "десять одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать "
    "семнадцать восемнадцать девятнадцать",
}
_TENS: dict[str, str] = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "ru": "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто",
}
_OPPOSITE: dict[str, str] = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}

# The strokes of a digit: a top, b upper right, c lower right, d bottom, e lower left,
# f upper left, g middle.
_STROKES: tuple[str, ...] = (
    "abcdef",
    "bc",
    "abged",
    "abgcd",
    "fgbc",
    "afgcd",
    "afgedc",
    "abc",
    "abcdefg",
    "abcfgd",
)


@dataclass(frozen=True)
class Picture:
    """What is in one picture; two equal Pictures are drawn as the same bytes.

    Lengths are in pixels of the drawn picture; `shape_x`, `shape_y`, `number_x` and `number_y`
    are centres.  `ink` is the colour of the digits, black or white, whichever stands out.
    """

    seed: int
    width: int
    height: int
    shape: str
    colour: str
    background: str
    position: str
    number: int
    colour_rgb: Colour
    background_rgb: Colour
    ink: Colour
    shape_x: int
    shape_y: int
    shape_radius: int
    number_x: int
    number_y: int
    digit_height: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as Pillow has them."""
        return self.width, self.height


def picture(seed: int, sizes: tuple[tuple[int, int], ...] = SIZES) -> Picture:
    """The picture of a seed, its size one of `sizes` (width, height)."""
    chance = random.Random(seed)
    width, height = chance.choice(sizes)
    shape = chance.choice(SHAPES)
    colour = chance.choice(list(COLOURS))
    background = chance.choice([name for name in COLOURS if name != colour])
    position = chance.choice(POSITIONS)
    number = chance.choice(NUMBERS)
    side = min(width, height)
    radius = round(side * chance.uniform(0.14, 0.19))
    digit = round(side * chance.uniform(0.30, 0.36))
    shape_x, shape_y = _place(chance, position, width, height)
    number_x, number_y = _place(chance, _OPPOSITE[position], width, height)
    background_rgb = _tinted(chance, COLOURS[background])
    return Picture(
        seed=seed,
        width=width,
        height=height,
        shape=shape,
        colour=colour,
        background=background,
        position=position,
        number=number,
        colour_rgb=_tinted(chance, COLOURS[colour]),
        background_rgb=background_rgb,
        ink=_ink(background_rgb),
        shape_x=shape_x,
        shape_y=shape_y,
        shape_radius=radius,
        number_x=number_x,
        number_y=number_y,
        digit_height=digit,
    )


def draw(what: Picture) -> Image.Image:
    """The picture as a Pillow image, RGB."""
    from PIL import Image

    image = Image.new("RGB", what.size)
    for colour, box in boxes(what):
        image.paste(colour, box)
    return image


def boxes(what: Picture) -> Iterator[tuple[Colour, tuple[int, int, int, int]]]:
    """All that is painted, in its order: a colour, and the left, upper, right and lower edge."""
    yield what.background_rgb, (0, 0, what.width, what.height)
    for row, first, end in _shape_runs(what.shape, what.shape_radius):
        y = what.shape_y + row
        yield what.colour_rgb, (what.shape_x + first, y, what.shape_x + end, y + 1)
    for left, upper, right, lower in _number_boxes(what.number, what.digit_height):
        x, y = what.number_x, what.number_y
        yield what.ink, (x + left, y + upper, x + right, y + lower)


def answer(what: Picture, question: str, language: str) -> str:
    """The one right answer about a picture; `question` is a key of QUESTIONS."""
    return {"en": _answer_en, "ru": _answer_ru}[language](what, question)


def number_words(number: int, language: str) -> str:
    """A number from 10 to 99 in words: "forty-seven", "сорок семь"."""
    tens, units = divmod(number, 10)
    if tens == 1:
        return _TEENS[language].split()[units]
    words = [_TENS[language].split()[tens - 2]]
    if units:
        words.append(_UNITS[language].split()[units])
    return ("-" if language == "en" else " ").join(words)


EXAMINATION_PLAN: tuple[tuple[int, str, str], ...] = (
    (0, "all", "en"),
    (1, "all", "ru"),
    (2, "number", "en"),
    (2, "shape", "ru"),
    (1, "position", "en"),
)
"""Which picture, which question, in which language.  The first picture needs no resizing, the
second is made smaller, the third larger."""

EXAMINATION_SEED = 7
"""The doctor's usual examination; the model card reports its answers under each mutation."""

_TURN_TELLS = ("red", "yellow", "blue")
"""Colours that become others when red and blue are exchanged."""


def examination(seed: int = EXAMINATION_SEED) -> list[tuple[Picture, str, str]]:
    """The questions of one smoke: picture, prompt and expected answer, in the order of asking.

    Whoever knows the rules of drawing but not the pictures passes with `lucky_guess()` at most.
    """
    downscaled = tuple(size for size in SIZES[NATIVE_SIZES:] if max(size) >= 250)
    upscaled = tuple(size for size in SIZES[NATIVE_SIZES:] if max(size) <= 100)
    shown = [
        _telling(7_000_000_000 + 3000 * seed + 1000 * index, sizes)
        for index, sizes in enumerate((SIZES[:NATIVE_SIZES], downscaled, upscaled))
    ]
    return [
        (shown[index], QUESTIONS[question][language], answer(shown[index], question, language))
        for index, question, language in EXAMINATION_PLAN
    ]


def for_other_models() -> list[tuple[Picture, str, str]]:
    """What a real model is asked: about one picture, in English and in Russian.

    It answers in words of its own, so `names` decides, and not the expected sentence.
    """
    what, prompt, expected = examination()[0]
    russian = QUESTIONS["all"]["ru"], answer(what, "all", "ru")
    return [(what, prompt, expected), (what, *russian)]


def names(what: Picture, text: str) -> bool:
    """Whether an answer in free words names the shape, its colour and the number of a picture.

    Each has to be there, in English or in Russian, by the beginning of a word (so that endings do
    not matter); the number in digits or in words. What else is said does not count against it.
    """
    said = text.casefold().replace("ё", "е").replace("-", " ")

    def says(*beginnings: str) -> bool:
        return any(
            re.search(rf"(?<!\w){re.escape(beginning.replace('ё', 'е'))}", said)
            for beginning in beginnings
        )

    number = [number_words(what.number, language).replace("-", " ") for language in LANGUAGES]
    return (
        says(*_SHAPE_WORDS[what.shape])
        and says(what.colour, *_COLOUR_WORDS[what.colour])
        and (
            re.search(rf"(?<!\d){what.number}(?!\d)", said) is not None
            or any(words.replace("ё", "е") in said for words in number)
        )
    )


_SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circular", "disc", "disk", "dot", "round", "круг", "кружо"),
    "square": ("square", "квадрат"),
    "triangle": ("triang", "треугольн"),
    "star": ("star", "звезд"),
    "cross": ("cross", "plus", "крест", "плюс"),
    "diamond": ("diamond", "rhomb", "ромб"),
    "ring": ("ring", "donut", "doughnut", "annul", "hollow circle", "кольц"),
    "crescent": ("crescent", "moon", "полумесяц", "месяц", "серп", "лун"),
}
_COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("красн", "алы"),
    "yellow": ("желт",),
    "green": ("зелен",),
    "blue": ("син", "голуб"),
    "purple": ("violet", "magenta", "фиолет", "пурпур", "лилов"),
    "grey": ("gray", "серы", "серо", "сера"),
    "white": ("бел",),
    "black": ("черн",),
}


def lucky_guess() -> float:
    """The chance to pass an examination without seeing the pictures.

    The parts of a picture are drawn evenly and apart from each other, so each picture costs a
    guess the product over what its questions ask for.  Two questions about one thing of one
    picture count once.
    """
    pairs = sum(_tells(a, b) for a in COLOURS for b in COLOURS if a != b)
    numbers = sum(number % 11 != 0 for number in NUMBERS)
    ways = {"shape": len(SHAPES), "colours": pairs, "position": 4, "number": numbers}
    asks = {
        "shape": {"shape", "colours"},
        "position": {"shape", "position"},
        "number": {"number"},
        "all": set(ways),
    }
    asked: dict[int, set[str]] = {}
    for index, question, _ in EXAMINATION_PLAN:
        asked.setdefault(index, set()).update(asks[question])
    chance = 1.0
    for parts in asked.values():
        for part in sorted(parts):
            chance /= ways[part]
    return chance


def _telling(first_seed: int, sizes: tuple[tuple[int, int], ...]) -> Picture:
    """The first picture from a seed on that shows swapped channels and swapped digits."""
    for seed in range(first_seed, first_seed + 1000):
        what = picture(seed, sizes)
        if _tells(what.colour, what.background) and what.number % 11:
            return what
    raise AssertionError("one picture in two is telling")


def _tells(colour: str, background: str) -> bool:
    return colour in _TURN_TELLS or background in _TURN_TELLS


def _place(chance: random.Random, position: str, width: int, height: int) -> tuple[int, int]:
    """A centre in the middle of one half of the picture, moved a little at random."""
    along = chance.uniform(0.245, 0.265)
    across = chance.uniform(0.45, 0.55)
    return {
        "left": (round(width * along), round(height * across)),
        "right": (round(width * (1 - along)), round(height * across)),
        "top": (round(width * across), round(height * along)),
        "bottom": (round(width * across), round(height * (1 - along))),
    }[position]


def _tinted(chance: random.Random, colour: Colour) -> Colour:
    """The colour moved by up to 10 in each channel."""
    red, green, blue = (min(255, max(0, c + chance.randint(-10, 10))) for c in colour)
    return red, green, blue


def _ink(background: Colour) -> Colour:
    """Black on light, white on dark; luma weights of ITU-R BT.601 in thousandths."""
    red, green, blue = background
    return (0, 0, 0) if 299 * red + 587 * green + 114 * blue > 110_000 else (255, 255, 255)


def _shape_runs(shape: str, radius: int) -> list[Run]:
    """The runs of a shape about its centre, within `radius` pixels each way."""
    if shape in _POLYGONS:
        corners = [(x * radius, y * radius) for x, y in _POLYGONS[shape]]
        return _polygon_runs(corners, 1000, radius)
    runs: list[Run] = []
    for row in range(-radius, radius):
        outer = _half_chord(row, radius)
        if shape == "circle":
            runs.append((row, -outer, outer))
        elif shape == "ring":
            inner = _half_chord(row, radius * 6 // 10)
            runs.extend([(row, -outer, -inner), (row, inner, outer)])
        elif shape == "crescent":
            bite = _half_chord(row, radius * 8 // 10)
            edge = radius * 5 // 10 - bite if bite else outer
            runs.append((row, -outer, min(outer, edge)))
    return [run for run in runs if run[1] < run[2]]


def _half_chord(row: int, radius: int) -> int:
    """Half the width of a disc in one pixel row: columns -n to n-1 are inside."""
    twice = 2 * row + 1
    room = 4 * radius * radius - twice * twice
    count = 0
    while (2 * count + 1) ** 2 <= room:
        count += 1
    return count


# Corners in thousandths of the radius.
_POLYGONS: dict[str, tuple[tuple[int, int], ...]] = {
    "square": ((-850, -850), (850, -850), (850, 850), (-850, 850)),
    "triangle": ((0, -1000), (1000, 850), (-1000, 850)),
    "diamond": ((0, -1000), (720, 0), (0, 1000), (-720, 0)),
    "cross": (
        (-330, -1000), (330, -1000), (330, -330), (1000, -330), (1000, 330), (330, 330),
        (330, 1000), (-330, 1000), (-330, 330), (-1000, 330), (-1000, -330), (-330, -330),
    ),
    "star": (
        (0, -1000), (240, -320), (960, -310), (380, 130), (590, 810),
        (0, 400), (-590, 810), (-380, 130), (-960, -310), (-240, -320),
    ),
}  # fmt: skip


def _polygon_runs(corners: list[tuple[int, int]], unit: int, radius: int) -> list[Run]:
    """The runs of a polygon by the even-odd rule at pixel centres; corners in 1/unit pixel."""
    runs: list[Run] = []
    for row in range(-radius - 1, radius + 1):
        middle = (2 * row + 1) * unit // 2
        crossings: list[int] = []
        for index, (x0, y0) in enumerate(corners):
            x1, y1 = corners[(index + 1) % len(corners)]
            if (y0 <= middle) != (y1 <= middle):
                crossings.append(x0 + (x1 - x0) * (middle - y0) // (y1 - y0))
        crossings.sort()
        for index in range(0, len(crossings), 2):
            first, end = ((at + unit // 2) // unit for at in crossings[index : index + 2])
            if first < end:
                runs.append((row, first, end))
    return runs


def _number_boxes(number: int, height: int) -> list[tuple[int, int, int, int]]:
    """The strokes of a two-digit number about its centre: left, upper, right, lower."""
    width = height * 11 // 20
    thick = max(1, (height + 3) // 7)
    gap = max(2, height // 5)
    total = 2 * width + gap
    boxes: list[tuple[int, int, int, int]] = []
    for place, digit in enumerate(divmod(number, 10)):
        left = place * (width + gap) - total // 2
        upper = -(height // 2)
        right, lower = left + width, upper + height
        waist = upper + (height - thick) // 2
        strokes = {
            "a": (left, upper, right, upper + thick),
            "b": (right - thick, upper, right, waist + thick),
            "c": (right - thick, waist, right, lower),
            "d": (left, lower - thick, right, lower),
            "e": (left, waist, left + thick, lower),
            "f": (left, upper, left + thick, waist + thick),
            "g": (left, waist, right, waist + thick),
        }
        boxes.extend(strokes[name] for name in _STROKES[digit])
    return boxes


def _answer_en(what: Picture, question: str) -> str:
    where = _POSITIONS_EN[what.position]
    words = number_words(what.number, "en")
    return {
        "shape": f"A {what.colour} {what.shape} on a {what.background} background.",
        "position": f"The {what.shape} is {where}.",
        "number": f"The number is {words}.",
        "all": f"A {what.colour} {what.shape} {where} on a {what.background} background "
        f"and the number {words}.",
    }[question]


def _answer_ru(what: Picture, question: str) -> str:
    noun, gender = _SHAPES_RU[what.shape]
    colour = _COLOURS_RU[what.colour][gender].capitalize()
    background = _COLOURS_RU[what.background]["on"]
    where = _POSITIONS_RU[what.position]
    words = number_words(what.number, "ru")
    return {
        "shape": f"{colour} {noun} на {background} фоне.",
        "position": f"{noun.capitalize()} {where}.",
        "number": f"Это число {words}.",
        "all": f"{colour} {noun} {where} на {background} фоне и число {words}.",
    }[question]
