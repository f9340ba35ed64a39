"""Readers of the data sets of still faces, one module per way in which they are distributed."""
