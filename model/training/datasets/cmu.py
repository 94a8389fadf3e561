"""Files of the CMU Graphics Lab Motion Capture Database -> motions.

A trial is SUBJECT_TRIAL.amc with its body SUBJECT.asf, or SUBJECT_TRIAL.bvh; text after the two
numbers names the action. The 17 joints are CMU's joint centres: hip is the middle between the hip
joints, spine the end of the lower back, thorax the base of the neck, neck_nose the base of the
skull, head the end of the head bone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.keypoints.skeleton import H36M17
from model.training.datasets.asf_amc import bone_ends, read_amc, read_asf
from model.training.datasets.bvh import read_bvh
from model.training.datasets.motion import Motion

Floats = NDArray[np.floating[Any]]

LICENCE = (
    "CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu): free for all uses, may be "
    "included in commercial products; may not be resold directly, even in converted form"
)
AMC_FPS = 120.0
AMC_FPS_OF_SUBJECT = {"cmu60": 60.0, "cmu61": 60.0}
"""AMC files do not state their frame rate; CMU's have 120 frames/s except for these subjects."""

_TRIAL = re.compile(r"(\d{1,3})_(\d{1,3})(?!\d)[-_ ]*(.*)")
_AMC_JOINTS = {
    "right_hip": "rhipjoint",
    "right_knee": "rfemur",
    "right_ankle": "rtibia",
    "left_hip": "lhipjoint",
    "left_knee": "lfemur",
    "left_ankle": "ltibia",
    "spine": "lowerback",
    "thorax": "thorax",
    "neck_nose": "upperneck",
    "head": "head",
    "left_shoulder": "lclavicle",
    "left_elbow": "lhumerus",
    "left_wrist": "lwrist",
    "right_shoulder": "rclavicle",
    "right_elbow": "rhumerus",
    "right_wrist": "rwrist",
}
"""Joint -> the bone that ends there."""
_BVH_JOINTS = {
    "right_hip": "RightUpLeg",
    "right_knee": "RightLeg",
    "right_ankle": "RightFoot",
    "left_hip": "LeftUpLeg",
    "left_knee": "LeftLeg",
    "left_ankle": "LeftFoot",
    "spine": "Spine",
    "thorax": "Neck",
    "neck_nose": "Head",
    "head": "EndSiteHead",
    "left_shoulder": "LeftArm",
    "left_elbow": "LeftForeArm",
    "left_wrist": "LeftFingerBase",
    "right_shoulder": "RightArm",
    "right_elbow": "RightForeArm",
    "right_wrist": "RightFingerBase",
}


@dataclass(frozen=True)
class Trial:
    """A file with one recording and, for an .amc, its subject's .asf (or None); `folder` is the
    folder that the user named."""

    path: Path
    folder: Path
    name: str
    subject: str
    action: str
    body: Path | None

    @property
    def source(self) -> str:
        """The file's path relative to the folder's parent."""
        return (Path(self.folder.name) / self.path.relative_to(self.folder)).as_posix()


def find_trials(folder: Path) -> list[Trial]:
    """All .amc files under a folder, then all .bvh files, sorted by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    bodies = [path for path in files if path.suffix.lower() == ".asf"]
    return [
        _trial(path, folder, bodies)
        for suffix in (".amc", ".bvh")
        for path in files
        if path.suffix.lower() == suffix
    ]


def read_trial(trial: Trial, action: str | None = None, fps: float | None = None) -> Motion:
    """Read one recording; `fps` overrides the frame rate of an AMC file.

    Raises InvalidInput naming the file and the fault.
    """
    amc = trial.path.suffix.lower() == ".amc"
    joints, rate, kind = _read_amc(trial, fps) if amc else _read_bvh(trial)
    return Motion(
        name=trial.name,
        subject=trial.subject,
        action=action or trial.action,
        joints=joints,
        fps=rate,
        source=trial.source,
        source_format=kind,
        licence=LICENCE if trial.subject.startswith("cmu") else "",
    )


def read_actions(path: Path) -> dict[str, str]:
    """Trial -> action, from a text with lines like `02_01  walk`, as in CMU's index. Other lines
    are ignored. Raises InvalidInput."""
    try:
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error})") from error
    actions = {}
    for line in lines:
        trial, _, action = line.strip().partition("\t" if "\t" in line else " ")
        match = _TRIAL.fullmatch(trial)
        if match and action.strip():
            actions[_name(match)] = action.strip()
    return actions


def _trial(path: Path, folder: Path, bodies: Sequence[Path]) -> Trial:
    match = _TRIAL.fullmatch(path.stem)
    beside = [body for body in bodies if body.parent == path.parent]
    if match is None:
        only = beside[0] if len(beside) == 1 else None
        return Trial(path, folder, path.stem, path.parent.name or path.stem, "unknown", only)
    number = match[1].lstrip("0")
    body = next((b for b in [*beside, *bodies] if b.stem.lstrip("0") == number), None)
    subject = f"cmu{int(number or 0):02d}"
    return Trial(path, folder, _name(match), subject, match[3] or "unknown", body)


def _name(match: re.Match[str]) -> str:
    return f"{int(match[1]):02d}_{int(match[2]):02d}"


def _read_amc(trial: Trial, fps: float | None) -> tuple[Floats, float, str]:
    if trial.body is None:
        raise InvalidInput(f"{trial.path}: the body of subject {trial.subject} (.asf) is missing")
    body = read_asf(trial.body)
    ends = bone_ends(body, read_amc(trial.path, body))
    rate = fps or AMC_FPS_OF_SUBJECT.get(trial.subject, AMC_FPS)
    return _h36m17(ends, _AMC_JOINTS, trial.path), rate, "asf/amc"


def _read_bvh(trial: Trial) -> tuple[Floats, float, str]:
    motion = read_bvh(trial.path)
    joints = _h36m17(motion.points, _BVH_JOINTS, trial.path)
    return joints, motion.fps, "bvh (thorax and wrists repaired)" if motion.repaired else "bvh"


def _h36m17(points: Mapping[str, Floats], names: Mapping[str, str], path: Path) -> Floats:
    missing = sorted(set(names.values()) - set(points))
    if missing:
        raise InvalidInput(f"{path}: not a CMU skeleton: {', '.join(missing)} missing")
    joints = {joint: points[name] for joint, name in names.items()}
    joints["hip"] = (joints["left_hip"] + joints["right_hip"]) / 2
    return np.stack([joints[name] for name in H36M17.joints], axis=1)


def without_repeats(trials: Sequence[Trial]) -> tuple[list[Trial], list[Trial]]:
    """Each recording once (.amc preferred to .bvh, which is repaired), and the repeats."""
    kept: dict[tuple[str, str], Trial] = {}
    repeats = []
    for trial in sorted(trials, key=lambda trial: trial.path.suffix.lower()):
        if kept.setdefault((trial.subject, trial.name), trial) is not trial:
            repeats.append(trial)
    return list(kept.values()), repeats
