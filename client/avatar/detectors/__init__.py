"""Detectors of pairs whose face and avatar show different expressions.

`load_detector(path)` and `save_detector(path, detector)` are in `file`, `is_mismatch` and the types
in `interface`, `train` in `training` (the only module here that imports torch).
"""
