"""Training of PoseFormer, in torch."""
