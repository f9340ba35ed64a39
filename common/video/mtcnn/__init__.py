"""MTCNN (Zhang et al. 2016) on OpenVINO: three small networks and what lies between them."""
