"""Synthetic keypoints of one person."""

from dataclasses import replace

import numpy as np

from model import H36M17, KeypointSequence


def person(frames: int, seed: int = 0, skeleton=H36M17) -> KeypointSequence:
    """A random walk through the image, with some joints and some whole frames not seen."""
    rng = np.random.default_rng(seed)
    joints = len(skeleton.joints)
    path = rng.normal(size=(frames, 1, 2)).cumsum(axis=0) * 5 + [900, 500]
    xy = path + rng.normal(size=(1, joints, 2)) * 80 + rng.normal(size=(frames, joints, 2)) * 3
    score = rng.uniform(0.2, 1, (frames, joints)) * (rng.uniform(size=(frames, joints)) > 0.1)
    score[rng.uniform(size=frames) < 0.2] = 0
    return KeypointSequence(xy, score, (1920, 1080), 30.0, skeleton)


def part(whole: KeypointSequence, rows: slice) -> KeypointSequence:
    return replace(whole, xy=whole.xy[rows], confidence=whole.confidence[rows])
