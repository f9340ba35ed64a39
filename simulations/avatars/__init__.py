"""Synthetic pairs of faces and avatars, and how well detectors find those that differ.

Everything drawn here is synthetic, and so is every figure that is made of it.
"""
