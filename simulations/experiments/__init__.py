"""The paper's experiments and Mien's own: each a config and a short script, made of cells.

`table3`, `figure5`, `figures3_4`, `federation` and `folds` say what is measured and how it is
summed up; `experiment` is what they have in common. `inputs` brings features, `measure` trains and
tests heads on them, `cells` keeps one JSON file per measurement, `run` goes through them, and
`report` draws what they left.
"""
