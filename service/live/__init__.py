"""WS /stream: people's keypoints, or pictures, as they come; poses at once, and the final ones a
few frames later."""
