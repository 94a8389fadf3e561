"""Requests -> poses: loaded models, batched calls, streams."""
