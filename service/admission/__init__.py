"""How much work is admitted at once."""
