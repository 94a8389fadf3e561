"""The OpenAPI descriptions of the routes."""
