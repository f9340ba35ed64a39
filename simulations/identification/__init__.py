"""Accuracy where the device must find out whose clip it is, beside accuracy where it is told."""
