"""A trained network -> one self-describing ONNX file."""
