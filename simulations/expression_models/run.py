"""`mien train-backbone` from a data set to its folder of results."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from common.backbones.trained import check_id, install
from common.errors import UsageError
from common.files import check_writable, write_atomically
from simulations.experiments.cells import today, versions
from simulations.expression_models.evaluation import Predictions, figures, predict
from simulations.expression_models.export import BACKBONE, export_backbone
from simulations.expression_models.faces import FaceSet, FaceSplits
from simulations.expression_models.fine_tune import TrainedModel, fine_tune
from simulations.expression_models.networks import make_network, network_kind
from simulations.expression_models.pictures import confusion_png
from simulations.expression_models.plan import TrainPlan
from simulations.expression_models.published import published
from simulations.expression_models.recipes import Recipe
from simulations.expression_models.training import CHECKPOINT
from simulations.results import save_results
from simulations.simulate import code_version
from simulations.watching import Watcher, unwatched

SCHEMA: Final = "mien-train-backbone/1"
NAMED_AT_MOST: Final = 10
_READABLE: Final = 0o644

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is trained on what, and where to.

    Attributes:
        data: the faces.
        network: of `networks.NETWORKS`.
        recipe: how it is trained.
        out: folder for all that is made.
        seed: of every random choice.
        plan: what does not belong to the recipe.
        weights: file with the weights to begin with, or None for random ones.
        install_as: id under which the result becomes a backbone; empty for not.
        command: that does this again, for the results.
    """

    data: FaceSplits
    network: str
    recipe: Recipe
    out: Path
    seed: int
    plan: TrainPlan
    weights: Path | None = None
    install_as: str = ""
    command: str = ""


def check_job(network: str, out: Path, install_as: str, *, resume: bool) -> None:
    """Refuse what would fail, before data is read.

    Raises:
        UsageError: the network or the id won't do, or the folder can't be written to or holds a
            run that would be written over.
    """
    network_kind(network)
    if install_as:
        check_id(install_as)
    check_writable(out)
    if not resume and (out / CHECKPOINT).exists():
        raise UsageError(
            f"{out}: holds a run already; give --resume to go on with it, or another --out"
        )


def train_backbone(job: Job, watch: Watcher = unwatched) -> Record:
    """Train, test once, export; write `results.json`, `confusion.png`, `backbone.onnx` and more.

    The test part is looked at after the training has chosen its epoch, and decides nothing.

    Raises:
        UsageError: the job is not in order.
        WorkError: it could not be done.
    """
    check_job(job.network, job.out, job.install_as, resume=job.plan.resume)
    data = job.data
    classes = data.train.classes
    network = make_network(job.network, len(classes), weights=job.weights, seed=job.seed)
    model = fine_tune(
        network,
        data.train,
        data.validation,
        job.recipe,
        job.out,
        job.seed,
        plan=job.plan,
        watch=watch,
    )
    parts = {"validation": data.validation, "test": data.test}
    seen = {name: _seen(model, part, job, name, watch) for name, part in parts.items() if part}
    results = _results(job, model, {name: each[1] for name, each in seen.items()}, seen)
    shown = "test" if "test" in seen else "validation"
    _draw(job, shown, results[shown], synthetic=data.train.synthetic)
    results["backbone"] = _export(job, model, results)
    save_results(job.out, results)
    return results


def _seen(
    model: TrainedModel, faces: FaceSet, job: Job, name: str, watch: Watcher
) -> tuple[Predictions, Record]:
    seen = predict(
        model.network, faces, model.recipe, workers=job.plan.workers, phase=name, watch=watch
    )
    return seen, figures(seen, faces, seed=job.seed)


def _results(
    job: Job,
    model: TrainedModel,
    measured: dict[str, Record],
    seen: dict[str, tuple[Predictions, Record]],
) -> Record:
    damaged = sorted(
        {*model.damaged, *(name for each, _ in seen.values() for name in each.damaged)}
    )
    return {
        "schema": SCHEMA,
        "synthetic": job.data.train.synthetic,
        "command": job.command,
        "date": today(),
        "commit": code_version(),
        "versions": versions(),
        "seed": job.seed,
        "network": asdict(network_kind(job.network)),
        "recipe": asdict(job.recipe),
        "balance": job.plan.balance,
        "began_with": job.weights.name if job.weights else "random weights",
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "data": _data(job.data),
        "damaged": {"count": len(damaged), "first": damaged[:NAMED_AT_MOST]},
        "best_epoch": model.best_epoch,
        "chosen_by": "validation accuracy, then validation loss",
        "history": [asdict(epoch) for epoch in model.history],
        **measured,
        "published": published(),
    }


def _data(data: FaceSplits) -> Record:
    return {
        "name": data.name,
        "validation_is": data.validation_is,
        "left_out": data.left_out,
        "parts": {
            name: {
                "faces": len(part),
                "digest": part.digest(),
                "per_class": dict(zip(part.classes, part.counts().tolist(), strict=True)),
            }
            for name, part in data.parts().items()
        },
    }


def _draw(job: Job, part: str, measured: Record, *, synthetic: bool) -> None:
    import numpy as np

    title = f"{job.network} on {job.data.name}, {part}"
    counts = np.array(measured["confusion"]["counts"], dtype=np.int64)
    picture = confusion_png(counts, job.data.train.classes, title, synthetic=synthetic)
    write_atomically(job.out / "confusion.png", picture, mode=_READABLE)


def _export(job: Job, model: TrainedModel, results: Record) -> Record:
    told = ("command", "date", "commit", "seed", "data", "best_epoch")
    about = {name: results[name] for name in told}
    accuracy = {
        part: results[part]["accuracy"] for part in ("validation", "test") if part in results
    }
    made = export_backbone(
        model.network,
        model.recipe,
        job.data.train.classes,
        job.out,
        data=job.data.name,
        synthetic=job.data.train.synthetic,
        about=json.loads(json.dumps({**about, "accuracy": accuracy})),
    )
    record = made.record
    if job.install_as:
        record = install(job.out / BACKBONE, job.install_as).record
    return {
        "file": made.path.name,
        "id": record.id if job.install_as else None,
        "sha256": record.sha256,
        "dimension": record.dimension,
        "input_size": record.input_size,
        "labels": list(record.labels),
        "licence": record.licence,
    }
