"""TRC, OpenSim's marker file: one person."""

from pathlib import Path

from model.formats.trajectory import Trajectory, trajectory
from model.video.results import PersonMotion

MM = 1000.0


def write_trc(person: PersonMotion, duration_s: float, path: Path) -> None:
    """Each joint as a marker, mm, Y up; as long as the video, from Frame# 1 at 0 s. Markers are
    nan where the person is missing: OpenSim reads nan and blanks as missing, but miscounts blanks
    at the end of a line."""
    motion = trajectory(person, duration_s)
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(_header(motion, person))
        for frame, time_s, xyz in zip(motion.frames, motion.times_s, motion.xyz, strict=True):
            cells = (f"{axis:.4f}" for axis in xyz.ravel() * MM)
            file.write("\t".join((f"{frame + 1}", f"{time_s:.6f}", *cells)) + "\n")


def _header(motion: Trajectory, person: PersonMotion) -> str:
    joints = person.poses.skeleton.joints
    rate, count, first = f"{person.poses.fps:.6f}", len(motion.frames), motion.frames[0] + 1
    fields = (
        ("DataRate", rate),
        ("CameraRate", rate),
        ("NumFrames", count),
        ("NumMarkers", len(joints)),
        ("Units", "mm"),
        ("OrigDataRate", rate),
        ("OrigDataStartFrame", first),
        ("OrigNumFrames", count),
    )
    axes = (f"{axis}{marker}" for marker in range(1, len(joints) + 1) for axis in "XYZ")
    lines = (
        ("PathFileType", "4", "(X/Y/Z)", f"person{person.id}.trc"),
        [key for key, _ in fields],
        [str(value) for _, value in fields],
        ("Frame#", "Time", *(f"{joint}\t\t" for joint in joints)),
        ("", "", *axes),
        (),
    )
    return "".join("\t".join(line) + "\n" for line in lines)
