"""Who a synthetic actor is: the shapes and colours that stay when the expression changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from common.randomness import generator
from simulations.actors.drawing import Colour

HAIR_STYLES: Final = ("bald", "short", "swept", "fringe", "bob", "long", "tied", "curly")
"""From nothing to much; `swept` is parted at one side, `tied` is drawn back."""
MORE_HAIR_STYLES: Final = ("buzz", "afro", "bun", "pageboy")
"""Styles that only `dressed` gives, so that the actors of a seed stay who they were."""
BEARD_STYLES: Final = ("stubble", "full", "goatee", "moustache")
GLASSES: Final = ("none", "round", "square", "half")
"""`half` has a frame above the lenses only."""

_SKIN: Final = ((244, 214, 194), (232, 190, 162), (214, 166, 132), (178, 126, 92), (138, 92, 66))
_HAIR: Final = ((34, 27, 25), (62, 42, 30), (104, 70, 44), (168, 128, 78), (120, 58, 34))
_GREY: Final = (150, 146, 142)
_IRIS: Final = ((74, 46, 28), (104, 70, 38), (92, 104, 62), (84, 120, 150), (112, 126, 134))
_SHIRT: Final = ((36, 38, 44), (52, 58, 72), (74, 44, 48), (58, 70, 60), (88, 88, 92))


@dataclass(frozen=True)
class Identity:
    """One face. Factors are around 1, lengths are in face units (skull to chin is 2).

    `asymmetry` is what the actor's left side does more than the right side (-0.2..0.2);
    `age` 0..1 is how readily the skin folds; `beard` 0..1 is its density, `beard_style` one of
    `BEARD_STYLES`; `glasses` is one of `GLASSES`, `frame` their colour.
    """

    skin: Colour
    hair_style: str
    hair: Colour
    iris: Colour
    lips: Colour
    shirt: Colour
    backdrop: float
    head_width: float
    jaw_width: float
    chin_width: float
    hair_volume: float
    hairline: float
    eye_size: float
    eye_spacing: float
    eye_tilt: float
    brow_height: float
    brow_thickness: float
    brow_arch: float
    nose_length: float
    nose_width: float
    mouth_height: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    lashes: float
    redness: float
    freckles: float
    beard: float
    age: float
    asymmetry: float
    texture: int
    beard_style: str = "stubble"
    glasses: str = "none"
    frame: Colour = (40, 36, 34)


def _between(random: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    place = random.uniform(0, len(palette) - 1)
    low = min(int(place), len(palette) - 2)
    return _mixed(palette[low], palette[low + 1], place - low)


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    a, b = np.asarray(first, float), np.asarray(second, float)
    r, g, b_ = (a + (b - a) * share).tolist()
    return r, g, b_


def _hair_colour(random: np.random.Generator, skin: Colour, age: float) -> Colour:
    palette = _HAIR if skin[0] > 200 else _HAIR[:2]
    colour: Colour = palette[int(random.integers(len(palette)))]
    return _mixed(colour, _GREY, max(0.0, age - 0.6) * 2 * random.uniform(0, 1))


def _hair_style(random: np.random.Generator, feminine: bool) -> str:
    odds = (0, 1, 2, 2, 3, 4, 3, 2) if feminine else (1.5, 4, 4, 2, 0.3, 0.3, 0.3, 2)
    return str(random.choice(HAIR_STYLES, p=np.asarray(odds) / np.sum(odds)))


def draw_identity(seed: int, actor: int) -> Identity:
    """The face of `actor` in the world of `seed`; RAVDESS's even actors are women, so here too.

    A function of (seed, actor) only.
    """
    random = generator(seed, "identity", client=actor)
    feminine = actor % 2 == 0

    def factor(spread: float, centre: float = 1.0) -> float:
        return float(
            np.clip(random.normal(centre, spread), centre - 2 * spread, centre + 2 * spread)
        )

    skin, age = _between(random, _SKIN), float(random.beta(1.6, 2.2))
    lip_tint = (176, 82, 84) if feminine else (160, 92, 86)
    return Identity(
        skin=skin,
        hair_style=_hair_style(random, feminine),
        hair=_hair_colour(random, skin, age),
        iris=_between(random, _IRIS),
        lips=_mixed(skin, lip_tint, random.uniform(0.5, 0.85) if feminine else 0.5),
        shirt=_SHIRT[int(random.integers(len(_SHIRT)))],
        backdrop=random.uniform(168, 226),
        head_width=factor(0.03, 0.98 if feminine else 1.01),
        jaw_width=factor(0.05, 0.95 if feminine else 1.05),
        chin_width=factor(0.1, 0.9 if feminine else 1.1),
        hair_volume=random.uniform(0.06, 0.14),
        hairline=factor(0.03, -0.62),
        eye_size=factor(0.07, 1.05 if feminine else 0.98),
        eye_spacing=factor(0.035),
        eye_tilt=factor(0.006, 0.008),
        brow_height=factor(0.018, -0.215),
        brow_thickness=factor(0.15, 0.8 if feminine else 1.15),
        brow_arch=factor(0.25, 1.1 if feminine else 0.8),
        nose_length=factor(0.025, 0.4),
        nose_width=factor(0.1, 0.93 if feminine else 1.06),
        mouth_height=factor(0.015, 0.615),
        mouth_width=factor(0.06),
        upper_lip=factor(0.15, 1.1 if feminine else 0.9),
        lower_lip=factor(0.15, 1.1 if feminine else 0.95),
        lashes=random.uniform(0.6, 1.0) if feminine else random.uniform(0.1, 0.4),
        redness=random.uniform(0.3, 1.0),
        freckles=float(max(0.0, random.normal(-0.3, 0.6))),
        beard=0.0
        if feminine
        else float(random.choice([0.0, 0.15, 0.35, 0.7], p=[0.4, 0.3, 0.2, 0.1])),
        age=age,
        asymmetry=factor(0.08, 0.0),
        texture=int(random.integers(2**31)),
    )


_FRAMES: Final = ((40, 36, 34), (86, 52, 34), (120, 122, 128), (36, 52, 84), (96, 30, 40))
_BEARD_DENSITY: Final = {"stubble": 0.35, "full": 0.85, "goatee": 0.8, "moustache": 0.85}


def dressed(seed: int, actor: int) -> Identity:
    """`draw_identity`'s face, which may get glasses, a fuller beard and other hair.

    A function of (seed, actor) only; half wear glasses, a third have hair of `MORE_HAIR_STYLES`.
    """
    random, identity = generator(seed, "dressed", client=actor), draw_identity(seed, actor)
    style = str(random.choice(BEARD_STYLES, p=(0.25, 0.3, 0.25, 0.2)))
    bearded, glasses = random.uniform() < 0.5, str(random.choice(GLASSES, p=(0.5, 0.2, 0.2, 0.1)))
    other_hair, hair = random.uniform() < 1 / 3, str(random.choice(MORE_HAIR_STYLES))
    frame = _FRAMES[int(random.integers(len(_FRAMES)))]
    feminine = actor % 2 == 0
    return replace(
        identity,
        hair_style=hair if other_hair else identity.hair_style,
        beard_style=style,
        beard=_BEARD_DENSITY[style] if bearded and not feminine else 0.0,
        glasses=glasses,
        frame=frame,
    )
