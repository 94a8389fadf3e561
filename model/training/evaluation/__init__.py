"""Errors of a model file on recordings it was not trained on."""
