"""What each experiment does, as its help says it; nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ABOUT: Final[Mapping[str, str]] = {
    "table3": """Backbones x heads x {universal, personal}, by the paper's protocol and by take.

The paper (Churaev and Savchenko 2023) draws 80 % of the clips of actors 1 to 5 at random over both
modalities. Audio-video and video-only files of a take are the same footage, so four in five test
clips have their twin among those adapted on. The table puts this protocol beside one that never
splits a take, names the published figures beside ours, and a second table gives the accuracy on
test clips with and without their twin.

**Examples:** `mien experiment table3 --data RAVDESS --out results`

`mien experiment table3 --features b0.parquet --features b2.parquet --out results`""",
    "figure5": """Accuracy against own clips per expression, 0 to 14 as far as the data go.

Personal heads, one common head adapted to the same clips of all test users together, and heads from
the own clips alone, per kind of head; with 95 % bands over users and seeds.

**Example:** `mien experiment figure5 --features b0.parquet --out results`""",
    "figures3-4": """Confusion matrices of universal and personal heads, per kind of head.

By take: no test clip has its twin among the clips adapted on. Personal heads are from all clips
that the protocol lets a user adapt on.

**Example:** `mien experiment figures3-4 --features b0.parquet --out results`""",
    "folds": """The published subject-wise five folds of RAVDESS, to compare with other figures.

Each fold's actors are tested, on all of their clips, by a universal head from the other four folds,
and by personal heads that adapt on one repetition and are tested on the other, both ways round.

**Example:** `mien experiment folds --features b0.parquet --out results`""",
    "federation": """Federated against pooled, one thing varied at a time.

Rounds, local epochs, clients per round, lost or late replies, strategies, skewed expressions,
unlike amounts of clips. Each row trains universal heads by federation and, on the very same clips,
pooled; both are tested by take on users whom neither has seen. Replies that are lost stand for
devices that go offline and for those that answer too late. Regularisation is the same everywhere.

**Example:** `mien experiment federation --features b0.parquet --out results`""",
    "avatar-mismatch": """Does the avatar show what the person shows? Detectors on synthetic pairs.

24 drawn actors and their avatars, half of the pairs wrong by a random other expression, of a frozen
difficulty; training, validation and test pairs are of different actors. `labels`: two universal
models disagree; `siamese` and `concat` after Mikhailov 2023; `personal`: the user's own head, made
of a few confirmed pictures, against a head made of the user's own avatar. All of it is synthetic.

With feature tables, beside it: same or different expression on pairs of real clips, one of the user
and one of another actor, with the user's personal and with the universal head.

**Example:** `mien experiment avatar-mismatch --features openface.csv --out results`""",
}
