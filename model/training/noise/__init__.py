"""What a detector really does, measured on clips, for training to simulate."""
