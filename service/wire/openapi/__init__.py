"""What /openapi.json says of the routes."""
