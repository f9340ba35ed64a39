"""Expression models: networks that tell the expression of one still face, trained on any face set.

What the rest of Mien uses of it (the modules import torch; this one imports nothing):

- `faces.FaceSet(name, classes, labels, source, people=None, synthetic=False)`: faces and their
  labels.  `source` reads one image on demand, `faces.ImageArray(pixels)` from an array
  (n, height, width, 3) uint8 RGB, `faces.ImageFiles(paths)` from files.  `faces.FaceSplits` holds
  `train`, `validation` and `test`.
- `readers.find.open_faces(path, ...) -> FaceSplits` reads RAF-DB, AffectNet, FER2013 and folder
  trees; `actors.actor_faces(...) -> FaceSplits` draws synthetic actors.
- `networks.make_network(id, classes, weights=None, seed=0) -> ExpressionNetwork`: calling it on
  normalised images (n, 3, size, size) gives (features (n, dimension), logits (n, classes)).
- `recipes.RECIPES["base" | "trivial" | "rand" | "dan-trivial"]`, changed by `dataclasses.replace`
  or `recipe.sized(64)`.
- `fine_tune.fine_tune(network, train, validation, recipe, folder, seed, *, plan=TrainPlan(),
  watch=None) -> TrainedModel`: trains all weights of `network` in place; goes on where a broken
  run in `folder` stopped; the weights it leaves are those of the best epoch by validation.
- `fine_tune.TrainedModel`: `.network` (evaluation mode), `.recipe`, `.history`, `.best_epoch`.
- `evaluation.predict(network, faces, recipe, ...) -> Predictions`: labels, logits, features and
  rows of all faces that could be read.
- `export.export_backbone(...)`: as ONNX with the outputs `features` and `logits`, and a record;
  `common.backbones.trained.install(path, id)` makes it a backbone of the registry.
"""
