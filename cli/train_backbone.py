"""`mien train-backbone`: an expression model from still faces, for researchers."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import output, phase_bars, print_json
from common.errors import UsageError

if TYPE_CHECKING:
    from simulations.expression_models.faces import FaceSplits
    from simulations.expression_models.recipes import Recipe
    from simulations.watching import Watcher

_SYNTHETIC_SIZE = 48
_SYNTHETIC_EPOCHS = 8
_SYNTHETIC_BATCH = 32
_NAMED_AT_MOST = 5

Data = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DATA]",
        help="RAF-DB's basic set as downloaded, AffectNet's train_set and val_set, FER2013's CSV "
        "file, or any folder with one folder of images per expression (in train, validation and "
        "test, or without).",
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for results and checkpoints.")]
Network = Annotated[
    str,
    typer.Option(
        help="resnet50, efficientnet-b4 or efficientnetv2-s (linear head); dan-resnet18, "
        "dan-efficientnetv2-s (4 heads of attention) or dan-efficientnetv2-s-5; tiny and dan-tiny "
        "for trying out. By default dan-resnet18, with --synthetic tiny."
    ),
]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="base: crops of 384, brightness and contrast, Adam 1e-5. trivial: the same with "
        "TrivialAugment. rand: RandAugment, random erasing, AdamW 1e-3, made for DAN. dan-trivial: "
        "that with TrivialAugment.",
    ),
]
Epochs = Annotated[int, typer.Option(help="At most so many; 0 for the recipe's own number.")]
Size = Annotated[int, typer.Option(help="Side of the crops in pixels; 0 for the recipe's own.")]
BatchSize = Annotated[int, typer.Option("--batch", help="Faces per step; 0 for the recipe's own.")]
Mix = Annotated[
    str,
    typer.Option(
        help="none; mixup: mixtures of two faces; mixaugment: mixtures and both originals."
    ),
]
Balance = Annotated[
    str,
    typer.Option(
        help="For classes of unequal size. none; weights: rare classes weigh more in the loss; "
        "sampler: all classes are drawn equally often."
    ),
]
Validation = Annotated[
    float,
    typer.Option(help="Share of the training part, of each class, where the data has none."),
]
Workers = Annotated[
    int, typer.Option(help="Processes that read faces; 0 for none. Results do not depend on it.")
]
Seed = Annotated[int, typer.Option(help="Of every random choice.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint in DIR, if there is one.")
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Weights to begin with: timm's of the base, or best.safetensors of another run. "
        "Without, they are random; nothing is ever downloaded.",
    ),
]
InstallAs = Annotated[
    str,
    typer.Option(
        "--install-as",
        metavar="ID",
        help="Also make the result a backbone for `mien extract --backbone ID` and devices.",
    ),
]
Synthetic = Annotated[
    bool,
    typer.Option(
        "--synthetic",
        help="Train on drawn actors' faces in place of DATA: shows that it works, nothing more.",
    ),
]
Actors = Annotated[int, typer.Option(help="Synthetic actors, at least 3.")]
WithoutContempt = Annotated[
    bool, typer.Option("--without-contempt", help="AffectNet with 7 classes in place of 8.")
]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Write TensorBoard's files into DIR/tensorboard.")
]
Json = Annotated[bool, typer.Option("--json", help="Print results.json on standard output.")]


def command(
    out: Out,
    data: Data = None,
    network: Network = "",
    recipe: RecipeName = "rand",
    epochs: Epochs = 0,
    size: Size = 0,
    batch: BatchSize = 0,
    mix: Mix = "none",
    balance: Balance = "none",
    validation: Validation = 0.1,
    workers: Workers = 0,
    seed: Seed = 0,
    resume: Resume = False,
    weights: Weights = None,
    install_as: InstallAs = "",
    synthetic: Synthetic = False,
    actors: Actors = 12,
    without_contempt: WithoutContempt = False,
    tensorboard: Tensorboard = False,
    json: Json = False,
) -> None:
    """Train an expression network on still faces; make a backbone of it.

    The epoch is chosen by validation, never by the test part, which is looked at once at the end.
    DIR gets `results.json` (figures with intervals, what it was trained on, and the published
    figures beside them), `confusion.png`, the checkpoint that `--resume` goes on from,
    `best.safetensors`, and `backbone.onnx` with its record.

    A real run wants a GPU, which is used where torch finds one. Data sets have licences of their
    own, mostly for non-commercial research, and they bind the weights too.

    **Examples:**

    `mien train-backbone --synthetic --out out/try`

    `mien train-backbone RAF-DB --network dan-resnet18 --recipe rand --out out/dan`
    """
    chosen = _recipe(recipe, {"epochs": epochs, "crop": size, "batch": batch}, mix, synthetic)
    plan = {"balance": balance, "workers": workers, "tensorboard": tensorboard, "resume": resume}
    faces = {"validation": validation, "contempt": not without_contempt}
    job = {"network": network or ("tiny" if synthetic else "dan-resnet18"), "out": out}
    job |= {"recipe": chosen, "seed": seed, "weights": weights, "install_as": install_as}
    results = _train(_source(data, synthetic, actors, faces), job, plan)
    if json:
        print_json(results)
    else:
        _print(results, out)


def _train(
    source: Callable[[Recipe, int, Watcher], FaceSplits],
    job: Mapping[str, Any],
    plan: Mapping[str, Any],
) -> dict[str, Any]:
    from simulations.expression_models.plan import TrainPlan
    from simulations.expression_models.run import Job, check_job, train_backbone

    whole = TrainPlan(**plan)
    check_job(job["network"], job["out"], job["install_as"], resume=whole.resume)
    with phase_bars() as watch:
        faces = source(job["recipe"], job["seed"], watch)
        again = shlex.join(["mien", *sys.argv[1:]])
        return train_backbone(Job(data=faces, plan=whole, command=again, **job), watch)


def _recipe(name: str, given: Mapping[str, int], mix: str, synthetic: bool) -> Recipe:
    """The named recipe with what was given in place of its own; small for drawn faces."""
    from dataclasses import replace

    from simulations.expression_models.recipes import recipe_named

    wrong = next((key for key, value in given.items() if value < 0), None)
    if wrong:
        raise UsageError(f"--{'size' if wrong == 'crop' else wrong} is below 0; give 0 or more")
    recipe = replace(recipe_named(name), mix=mix)
    small = {"epochs": _SYNTHETIC_EPOCHS, "crop": _SYNTHETIC_SIZE, "batch": _SYNTHETIC_BATCH}
    wanted = {key: value or (small[key] if synthetic else 0) for key, value in given.items()}
    recipe = recipe.sized(wanted["crop"]) if wanted["crop"] else recipe
    return replace(
        recipe, epochs=wanted["epochs"] or recipe.epochs, batch=wanted["batch"] or recipe.batch
    )


def _source(
    data: Path | None, synthetic: bool, actors: int, options: Mapping[str, Any]
) -> Callable[[Recipe, int, Watcher], FaceSplits]:
    """What opens or draws the faces for a recipe and a seed."""
    if synthetic == (data is not None):
        raise UsageError("give either DATA, a data set of faces, or --synthetic")

    def drawn(recipe: Recipe, seed: int, watch: Watcher) -> FaceSplits:
        from simulations.expression_models.actors import actor_faces

        return actor_faces(actors=actors, size=recipe.side, seed=seed, watch=watch)

    def opened(recipe: Recipe, seed: int, watch: Watcher) -> FaceSplits:
        from simulations.expression_models.readers.find import open_faces

        return open_faces(data or Path(), seed=seed, **options)

    return drawn if data is None else opened


def _print(results: Mapping[str, Any], out: Path) -> None:
    from rich.table import Table

    mark = "SYNTHETIC " if results["synthetic"] else ""
    name, data = results["network"]["id"], results["data"]["name"]
    table = Table("part", "faces", "accuracy", "95 % interval", "macro recall", box=None)
    for part in ("validation", "test"):
        if part in results:
            table.add_row(part, *_figures(results[part]))
    _say(f"{mark}{name} on {data}, epoch {results['best_epoch']} of {len(results['history'])}")
    output.print(table)
    _say(f"Validation part: {results['data']['validation_is']}.")
    damaged = results["damaged"]
    if damaged["count"]:
        named = ", ".join(damaged["first"][:_NAMED_AT_MOST])
        _say(f"{damaged['count']} images could not be used and were passed over: {named}")
    for reason, count in results["data"]["left_out"].items():
        _say(f"Left out: {count} {reason}")
    _say("Published on RAF-DB, for reference: " + _published(results["published"]))
    backbone = results["backbone"]
    if backbone["id"]:
        _say(f"Backbone {backbone['id'].partition('+')[0]} is installed ({backbone['licence']}).")
    _say(f"Results: {out / 'results.json'}, {out / 'confusion.png'}, {out / backbone['file']}")


def _figures(measured: Mapping[str, Any]) -> tuple[str, str, str, str]:
    interval = measured["interval"]
    return (
        str(measured["faces"]),
        f"{measured['accuracy']:.1%}",
        f"{interval['low']:.1%} to {interval['high']:.1%}",
        f"{measured['macro_recall']:.1%}",
    )


def _published(rows: list[dict[str, Any]]) -> str:
    return "; ".join(
        f"{row['network']} {row['recipe']} {row['accuracy_percent']} %" for row in rows
    )


def _say(text: str) -> None:
    output.print(text, highlight=False, markup=False, soft_wrap=True)
