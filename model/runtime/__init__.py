"""Where networks run: devices, ONNX Runtime sessions, memory."""
