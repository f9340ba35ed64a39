"""Avatars' data: sheets for devices, labelled pairs, figures of generators, fine-tuning.

What is drawn here is synthetic, and so is every figure that is made of it.
"""
