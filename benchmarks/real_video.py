"""Steadiness of poses in real videos, before and after repair and smoothing, compared with
MediaPipe's world landmarks from the same detections (docs/real-video.md).

    .venv/bin/python benchmarks/real_video.py CLIP... [--detector mediapipe:heavy] [--plot OUT.png]

The longest run of consecutive frames of each person is measured. There is no ground truth: measured
are limb lengths, which are constant, left/right swaps, and feet that stand in the image.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from model import (
    H36M17,
    KeypointSequence,
    Lifter,
    PoseSequence,
    Tracker,
    limb_spread,
    model_named,
    open_video,
    read_name,
    smooth,
    weights_folder,
)
from model.detectors.following import PeopleFollower
from model.detectors.mediapipe import landmarker as mediapipe
from model.detectors.person import Person
from model.keypoints.joint_sets import BLAZEPOSE33
from model.keypoints.skeleton import to_h36m17
from model.tracking.swaps import undo_swaps

MAX_PEOPLE = 4
MIN_FRAMES = 27
STANDS = 0.15
"""Body heights per second; a slower ankle stands."""
LIMBS = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]
MIRRORED = [H36M17.mirror[joint] for joint in LIMBS]
ANKLES = [H36M17.index("left_ankle"), H36M17.index("right_ankle")]
SHOWN = 5
"""Frames in the plot."""

Xyz = NDArray[np.floating[Any]]


class WorldLook(mediapipe._Landmarker):
    """Stores the world landmarks of its last detection, (33, 3) m."""

    world: Xyz = np.zeros((33, 3))

    def _find(self, image: Any, time_ms: int) -> Any:
        result = super()._find(image, time_ms)
        if result.pose_world_landmarks:
            self.world = np.array([(p.x, p.y, p.z) for p in result.pose_world_landmarks[0]])
        return result


@dataclass
class DetectedPerson:
    """One person of a video, frame by frame."""

    frames: list[int] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    worlds: list[Xyz] = field(default_factory=list)
    crops: list[NDArray[np.uint8]] = field(default_factory=list)

    def longest_run(self) -> slice:
        ends = np.flatnonzero(np.diff(self.frames) != 1) + 1
        run = max(np.split(np.arange(len(self.frames)), ends), key=len)
        return slice(run[0], run[-1] + 1)


def detect_people(
    clip: Path, model: str
) -> tuple[list[DetectedPerson], tuple[int, int], float, float]:
    """All people, the image size, the frame rate and the seconds of detection per frame."""
    bundle = mediapipe._bundle(metadata.version("mediapipe"), model)
    library = mediapipe._load_mediapipe()
    follower = PeopleFollower(
        search=mediapipe._Landmarker(library, bundle, "IMAGE", MAX_PEOPLE),
        open_landmarker=lambda: WorldLook(library, bundle, "VIDEO", 1),
        max_people=MAX_PEOPLE,
    )
    tracked: dict[int, DetectedPerson] = {}
    spent_s: list[float] = []
    with open_video(clip) as video, closing(follower):
        tracker = Tracker(MAX_PEOPLE)
        for frame in video.frames():
            start_s = time.perf_counter()
            people = follower.detect(frame.image, round(frame.time_s * 1000))
            spent_s.append(time.perf_counter() - start_s)
            worlds = {
                id(followed.person): followed.landmarker.world
                for followed in follower._followed
                if isinstance(followed.landmarker, WorldLook)
            }
            for number, person in tracker.update(people, frame.time_s):
                track = tracked.setdefault(number, DetectedPerson())
                track.frames.append(frame.index)
                track.people.append(person)
                track.worlds.append(worlds[id(person)])
                track.crops.append(crop(frame.image, person))
        size = (video.info.width, video.info.height)
        return list(tracked.values()), size, video.info.fps, float(np.mean(spent_s))


def crop(image: NDArray[np.uint8], person: Person) -> NDArray[np.uint8]:
    (left, top), (right, bottom) = (np.maximum(end, 0).astype(int) for end in person.box())
    return image[max(0, top - 20) : bottom + 20, max(0, left - 20) : right + 20].copy()


def lifted(
    track: DetectedPerson, size: tuple[int, int], fps: float, lifter: Lifter
) -> tuple[KeypointSequence, dict[str, PoseSequence]]:
    run = track.longest_run()
    xy = np.stack([person.xy for person in track.people[run]])
    score = np.stack([person.score for person in track.people[run]])
    keypoints = KeypointSequence(xy, score, size, fps, BLAZEPOSE33).to_h36m17()
    world = np.stack(track.worlds[run]).astype(np.float32)
    xyz, _ = to_h36m17(world, np.ones(world.shape[:2], np.float32), BLAZEPOSE33)
    mediapipe_poses = PoseSequence(xyz - xyz[:, :1], fps)
    return keypoints, {
        "poselift, neither repair nor smoothing": lifter.lift(keypoints),
        "poselift, as POST /video": smooth(lifter.lift(undo_swaps(keypoints)[0]), "butterworth"),
        "MediaPipe": mediapipe_poses,
        "MediaPipe, the same smoothing": smooth(mediapipe_poses, "butterworth"),
    }


def figures(poses: PoseSequence, keypoints: KeypointSequence) -> tuple[float, ...]:
    """Limb spread %, jitter m/s^2, frames with a left/right swap, relative speed of the feet while
    both stand (m/s), and the trunk's lean towards the camera in degrees."""
    xyz, fps = poses.xyz, poses.fps
    jitter = np.median(np.linalg.norm(np.diff(xyz[:, 1:], n=2, axis=0), axis=-1)) * fps**2
    kept, crossed = (
        np.linalg.norm(xyz[1:, joints] - xyz[:-1, LIMBS], axis=-1).mean(axis=1)
        for joints in (LIMBS, MIRRORED)
    )
    height_px = np.median(np.ptp(keypoints.xy, axis=1).max(axis=1))
    speed = np.linalg.norm(np.diff(keypoints.xy[:, ANKLES], axis=0), axis=-1) * fps / height_px
    slide = np.linalg.norm(np.diff(xyz[:, ANKLES[0]] - xyz[:, ANKLES[1]], axis=0), axis=-1) * fps
    standing = (speed < STANDS).all(axis=1)
    slid = float(np.median(slide[standing])) if standing.any() else float("nan")
    trunk = xyz[:, H36M17.index("thorax")]
    lean = float(np.degrees(np.median(np.arctan2(-trunk[:, 2], -trunk[:, 1]))))
    return 100 * limb_spread(poses), float(jitter), float((crossed < kept).sum()), slid, lean


def plot(track: DetectedPerson, poses_by_name: dict[str, PoseSequence], path: Path) -> None:
    """Some frames of one person: the image, and each pose from the camera and from the side."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    run = track.longest_run()
    chosen = np.linspace(0, run.stop - run.start - 1, SHOWN).astype(int)
    rows = ("image", *poses_by_name)
    figure, axes = pyplot.subplots(len(rows), SHOWN, figsize=(2.4 * SHOWN, 2.4 * len(rows)))
    for column, frame in enumerate(chosen):
        axes[0, column].imshow(track.crops[run][frame])
        axes[0, column].set_title(f"frame {track.frames[run][frame]}")
        for row, poses in enumerate(poses_by_name.values(), 1):
            for offset, across in ((0.0, 0), (1.6, 2)):
                for parent, child in H36M17.bones:
                    ends = poses.xyz[frame, [parent, child]]
                    colour = _COLOURS.get(H36M17.joints[child].partition("_")[0], "dimgrey")
                    axes[row, column].plot(ends[:, across] + offset, -ends[:, 1], c=colour)
            axes[row, column].set(xlim=(-0.9, 2.5), ylim=(-1.2, 1.0), aspect="equal")
    for row, name in enumerate(rows):
        axes[row, 0].set_ylabel(name.replace(", ", ",\n"), fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.tight_layout()
    figure.savefig(path, dpi=80)


_COLOURS = {"left": "tab:orange", "right": "tab:blue"}


def rows(clip: Path, model: str, lifter: Lifter, plot_path: Path | None) -> Iterator[str]:
    people, size, fps, detect_s = detect_people(clip, model)
    yield f"{clip.name}: {1000 * detect_s:.0f} ms of detection per frame"
    for number, track in enumerate(people, 1):
        run = track.longest_run()
        if run.stop - run.start < MIN_FRAMES:
            continue
        start_s = time.perf_counter()
        keypoints, poses_by_name = lifted(track, size, fps, lifter)
        frame_ms = 1000 * (time.perf_counter() - start_s) / 2 / len(keypoints)
        yield f"person {number}, {len(keypoints)} frames; lifting {frame_ms:.1f} ms per frame"
        for name, poses in poses_by_name.items():
            numbers = " | ".join(f"{value:.3g}" for value in figures(poses, keypoints))
            yield f"| {name} | {numbers} |"
        if plot_path:
            plot(track, poses_by_name, plot_path)
            plot_path = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--detector", default="mediapipe", help="mediapipe or mediapipe:heavy")
    parser.add_argument("--plot", type=Path, help="PNG of the first person of the first video")
    options = parser.parse_args()
    model = read_name(options.detector).model
    lifter = Lifter.load(model_named("poseformer-27", weights_folder()))
    print("| | limb spread % | jitter m/s^2 | swaps | feet slide m/s | lean, degrees |")
    for index, clip in enumerate(options.clips):
        for row in rows(clip, model, lifter, None if index else options.plot):
            print(row, flush=True)


if __name__ == "__main__":
    main()
