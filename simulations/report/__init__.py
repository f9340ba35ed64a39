"""The report: one self-contained page, and one picture, from the results of a simulation.

`page` fills the template and writes; `facts`, `confusion` and `traffic` read what it shows out of
the results; `figures` draws (the only module that imports matplotlib); `svg` fits drawings into
the page. Equal results give equal bytes.
"""

from simulations.report.page import write_png, write_report

__all__ = ["write_png", "write_report"]
