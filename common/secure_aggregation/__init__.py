"""What devices and server agree on so that the server learns a sum of updates and nothing else.

Bonawitz et al., Practical secure aggregation for privacy-preserving machine learning, CCS 2017
(https://doi.org/10.1145/3133956.3133982), the variant with double masks and a consistency check.
"""
