"""The device's operations: enrol, recognise, correct, personalise, forget, export.

`work` and what it imports (`bases`, `enrolment`, `fitting`, `personal`, `readers`) load torch or
models; everything else starts at once.
"""
