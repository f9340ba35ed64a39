"""What runs a network: OpenVINO by default, ONNX Runtime second, torch as the oracle."""
