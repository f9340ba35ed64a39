"""`mien avatar dataset`, `quality`, `sweep`, `fine-tune`: for makers and judges of generators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.avatar_printed import print_detector, print_quality, print_sweep, print_tuned
from cli.console import phase_bars, print_json
from cli.opened import JsonOption, say
from common.errors import UsageError

if TYPE_CHECKING:
    from client.avatar.sources.generator import Generator
    from simulations.avatar_data.faces import LabelledFace
    from simulations.avatar_data.makers import Maker
    from simulations.avatar_data.reading import PictureReader

GeneratorFile = Annotated[
    Path | None,
    typer.Option(
        "--generator",
        metavar="FILE",
        help="Image-to-image network, .onnx or TorchScript, with its description FILE.json.",
    ),
]
Trust = Annotated[
    str,
    typer.Option(
        metavar="SHA256",
        help="TorchScript files are programs: run the one with this SHA-256 (several: commas).",
    ),
]
Structure = Annotated[
    float | None, typer.Option("--structure", help="Weight S, in place of the description's.")
]
Colour = Annotated[
    float | None, typer.Option("--colour", help="Weight C, in place of the description's.")
]
Actors = Annotated[int, typer.Option(help="Synthetic actors.", min=2, max=24)]
Faces = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Pictures in EXPRESSION/ or PERSON/EXPRESSION/ folders; without it faces are drawn.",
    ),
]
Seed = Annotated[int, typer.Option(help="Of every random choice.", min=0)]
Backbone = Annotated[
    str,
    typer.Option(
        help="Read pictures by this backbone's own labels. Without it drawn faces are read by a "
        "head that was fitted to other drawn actors, real ones by the built-in backbone."
    ),
]
_READER_ACTORS = 12


def register(app: typer.Typer) -> None:
    """Add the commands to `mien avatar`."""
    app.command("dataset")(dataset)
    app.command("quality")(quality)
    app.command("sweep")(sweep)
    app.command("fine-tune")(tune)
    app.command("train-detector")(train_detector)


def sweep(
    generator: GeneratorFile = None,
    trust: Trust = "",
    s: Annotated[str, typer.Option("--s", help="Values of S, separated by commas.")] = "",
    c: Annotated[str, typer.Option("--c", help="Values of C, separated by commas.")] = "",
    faces: Faces = None,
    actors: Actors = 8,
    backbone: Backbone = "",
    seed: Seed = 0,
    json: JsonOption = False,
) -> None:
    """Recognition accuracy on a generator's avatars for each pair of weights S and C.

    Without `--generator` the avatars are drawn: S is then the drawing's share in the picture's
    shapes and C its share in the colours. The thesis's figures (DualStyleGAN, real faces) stand
    beside ours for equal weights, marked as published.

    **Example:** `mien avatar sweep --generator pixar.onnx --s 0.1,0.225,0.4 --c 0.1,0.8`
    """
    from simulations.avatar_data.sweep import sweep as run

    structures, colours = _numbers(s, "--s"), _numbers(c, "--c")
    if generator is None and not structures and not colours:
        structures, colours = [0.225, 0.5, 1.0], [0.1, 1.0]
    source = None if generator is None else _loaded(generator, trust)
    if faces is not None and source is None:
        raise UsageError("--faces goes with --generator: only drawn faces have drawn avatars")
    found, maker = _made(source, faces, actors, seed)
    reader = _reader(backbone, actors if faces is None else 0, seed)
    try:
        with phase_bars() as watch:
            told = run(
                maker,
                found,
                reader,
                structures,
                colours,
                synthetic=faces is None,
                seed=seed,
                watch=watch,
            )
    finally:
        reader.close()
    if json:
        print_json(told)
    else:
        print_sweep(told)


def _loaded(path: Path, trust: str) -> Generator:
    from client.avatar.sources.generator import load_generator

    return load_generator(path.absolute(), trust=trust)


def _made(
    source: Generator | None, faces: Path | None, actors: int, seed: int
) -> tuple[list[LabelledFace], Maker]:
    """Faces and what makes their avatars; the last `actors` of the drawn ones."""
    from simulations.avatar_data.faces import folder_faces
    from simulations.avatar_data.makers import FileMaker, drawn_pairs

    if faces is not None and source is not None:
        return folder_faces(faces), FileMaker(source)
    drawn, maker = drawn_pairs(range(25 - actors, 25), seed=seed)
    return drawn, maker if source is None else FileMaker(source)


def _reader(backbone: str, actors: int, seed: int) -> PictureReader:
    """Who reads: `actors` drawn ones are to be read, 0 means real faces."""
    from simulations.avatar_data.makers import drawn_pairs
    from simulations.avatar_data.reading import BackboneReader, fitted_reader

    if backbone or not actors:
        from common.backbones.registry import DEFAULT_BACKBONE

        return BackboneReader(backbone or DEFAULT_BACKBONE)
    others = min(_READER_ACTORS, 24 - actors)
    if others < 2:
        raise UsageError(
            f"--actors {actors} leaves none of the 24 drawn actors to fit the reading network to; "
            "give at most 22, or --backbone"
        )
    train, _ = drawn_pairs(range(1, 1 + others), seed=seed, per_expression=2)
    return fitted_reader(train, f"the faces of {others} other drawn actors")


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UsageError(f"{option} is {text!r:.80}, expected numbers such as 0.1,0.225") from error


def dataset(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the pairs.")],
    generator: GeneratorFile = None,
    trust: Trust = "",
    structure: Structure = None,
    colour: Colour = None,
    faces: Faces = None,
    actors: Actors = 24,
    per_expression: Annotated[
        int, typer.Option(help="Drawn faces per actor and expression.", min=1, max=100)
    ] = 2,
    wrong: Annotated[
        float, typer.Option(help="Share of avatars that show another expression on purpose.")
    ] = 0.5,
    seed: Seed = 0,
    json: JsonOption = False,
) -> None:
    """Make labelled pairs of faces and avatars: PNG files, `pairs.csv` and `pairs.json`.

    Without options both are drawn, synthetic, as in `mien experiment avatar-mismatch`. With
    `--generator` its avatars are taken, of drawn faces or of the pictures in `--faces`.

    **Example:** `mien avatar dataset pairs --faces people --generator pixar.onnx --wrong 0.5`
    """
    from simulations.avatar_data.dataset import check_target, counted, drawn_dataset, made_dataset
    from simulations.avatar_data.faces import drawn_faces, folder_faces
    from simulations.avatar_data.makers import FileMaker

    if faces is not None and generator is None:
        raise UsageError("--faces goes with --generator: only drawn faces have drawn avatars")
    check_target(out, wrong)
    with phase_bars() as watch:
        if generator is None:
            made = drawn_dataset(
                out,
                actors=actors,
                per_expression=per_expression,
                wrong=wrong,
                seed=seed,
                watch=watch,
            )
        else:
            maker = FileMaker(_loaded(generator, trust)).weighted(structure, colour)
            found = (
                drawn_faces(range(1, actors + 1), seed=seed, per_expression=per_expression)
                if faces is None
                else folder_faces(faces)
            )
            made = made_dataset(
                out, maker, found, wrong=wrong, synthetic=faces is None, seed=seed, watch=watch
            )
    told = counted(made)
    if json:
        print_json(told)
        return
    mark = "synthetic " if told["synthetic"] else ""
    say(
        f"{told['pairs']} {mark}pairs of {told['people']} people, {told['mismatches']} of them "
        f"wrong: {out}"
    )


def quality(
    pairs: Annotated[
        Path | None, typer.Argument(metavar="[PAIRS]", help="Folder of labelled pairs.")
    ] = None,
    generator: GeneratorFile = None,
    trust: Trust = "",
    structure: Structure = None,
    colour: Colour = None,
    faces: Faces = None,
    actors: Actors = 8,
    backbone: Backbone = "",
    seed: Seed = 0,
    json: JsonOption = False,
) -> None:
    """How good a generator is: the share of avatars whose expression survives, by expression.

    Of PAIRS by their labels and by a network; of `--generator` by a network, on avatars that are
    made on the way. Intervals are by person.

    **Example:** `mien avatar quality pairs --json`
    """
    from simulations.avatar_data.makers import FileMaker
    from simulations.avatar_data.quality import quality_of_maker, quality_of_pairs
    from simulations.avatars.pairs import read_pairs

    if (pairs is None) == (generator is None):
        raise UsageError("give either a folder of PAIRS or --generator FILE")
    if pairs is not None and faces is not None:
        raise UsageError("--faces goes with --generator; PAIRS have faces of their own")
    with phase_bars() as watch:
        if pairs is not None:
            folder = read_pairs(pairs)
            reader = _reader(backbone, actors if folder.synthetic else 0, seed)
            told = quality_of_pairs(folder, reader, seed=seed, watch=watch)
        elif generator is not None:
            source = _loaded(generator, trust)
            found, _ = _made(source, faces, actors, seed)
            maker = FileMaker(source).weighted(structure, colour)
            reader = _reader(backbone, actors if faces is None else 0, seed)
            told = quality_of_maker(
                maker, found, reader, synthetic=faces is None, seed=seed, watch=watch
            )
    reader.close()
    if json:
        print_json(told)
    else:
        print_quality(told)


def tune(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="Folder of labelled pairs.")],
    out: Annotated[
        Path, typer.Option(metavar="PLACE", help="Folder for a network, file for a head.")
    ],
    network: Annotated[
        str, typer.Option(help="Network to train whole, as in `mien train-backbone`.")
    ] = "",
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights that the network begins with.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Recipe of the training.")] = "base",
    size: Annotated[int, typer.Option(help="Side of the crops; 0 for the recipe's own.")] = 0,
    epochs: Annotated[int, typer.Option(help="At most; 0 for the recipe's own.")] = 0,
    learning_rate: Annotated[float, typer.Option(help="0 for the recipe's own.")] = 0.0,
    backbone: Annotated[
        str, typer.Option(help="Fit a head for avatars on this backbone instead, in seconds.")
    ] = "",
    install: Annotated[
        str, typer.Option(metavar="ID", help="Make the network a backbone of this name.")
    ] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run in PLACE.")] = False,
    seed: Seed = 0,
    json: JsonOption = False,
) -> None:
    """Fine-tune a network on avatars, or fit a head for avatars on a backbone.

    Avatars are labelled by what they show; train, validation and test part share no person.

    **Examples:** `mien avatar fine-tune pairs --network dan-efficientnetv2-s --weights dan.pt
    --out tuned --install avatars`

    `mien avatar fine-tune pairs --backbone mini-xception --out avatars.safetensors`
    """
    from simulations.avatar_data.tuning import NetworkPlan, changed_recipe, tune_head, tune_network
    from simulations.avatars.pairs import read_pairs

    _check_tuning(network, backbone, others=bool(weights or install or size or epochs or resume))
    found = read_pairs(pairs)
    with phase_bars() as watch:
        if backbone:
            told = tune_head(found, out, backbone=backbone, seed=seed, watch=watch)
        else:
            plan = NetworkPlan(
                network=network,
                weights=weights,
                recipe=changed_recipe(recipe, size, epochs, learning_rate),
                install=install,
                resume=resume,
                seed=seed,
            )
            told = tune_network(found, out, plan, watch)
    if json:
        print_json(told)
    else:
        print_tuned(told, out)


def _check_tuning(network: str, backbone: str, *, others: bool) -> None:
    if bool(network) == bool(backbone):
        raise UsageError("give either --network (trained whole) or --backbone (a head on it)")
    if backbone and others:
        raise UsageError("--weights, --install, --size, --epochs and --resume go with --network")


def train_detector(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="Folder of labelled pairs.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="For the detector.")],
    kind: Annotated[str, typer.Option(help="siamese or concat.")] = "concat",
    backbone: Annotated[str, typer.Option(help="Reads the faces; the device's own.")] = "",
    avatar_backbone: Annotated[str, typer.Option(help="Reads the avatars, if another.")] = "",
    avatar_head: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Head for avatars, from `fine-tune`.")
    ] = None,
    seed: Seed = 0,
    json: JsonOption = False,
) -> None:
    """Train a detector of mismatches for `mien avatar check --detector` on labelled pairs.

    Half of the people train it, a quarter chooses when to stop and the threshold, a quarter
    measures it; beside it stands what comparing the labels alone gives.

    **Example:** `mien avatar train-detector pairs --out detector.safetensors`
    """
    from common.backbones.registry import DEFAULT_BACKBONE
    from simulations.avatar_data.detecting import Plan
    from simulations.avatar_data.detecting import train_detector as run
    from simulations.avatars.pairs import read_pairs

    plan = Plan(
        kind=kind,
        backbone=backbone or DEFAULT_BACKBONE,
        avatar_backbone=avatar_backbone,
        avatar_head=avatar_head,
        seed=seed,
    )
    with phase_bars() as watch:
        told = run(read_pairs(pairs), out, plan, watch)
    if json:
        print_json(told)
    else:
        print_detector(told, out)
