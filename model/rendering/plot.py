"""Joints and angles over time as a figure: PNG, SVG or PDF.

One row of panels for each joint (x, y and z) or angle; left and right share a row. Colours are
those of the overlay.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidInput, UnknownName
from model.files import written_whole
from model.keypoints.skeleton import H36M17
from model.motion.angles import ANGLES, joint_angles
from model.rendering.strokes import BACKGROUND, Colour, colours_of
from model.rendering.view3d import GRID
from model.video.results import PersonMotion, VideoResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Float64 = NDArray[np.float64]

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
DEFAULT_JOINTS = ("wrist", "ankle")
DEFAULT_ANGLES = ("knee_flexion", "hip_flexion", "elbow_flexion", "trunk_lean")
DOWN = "y (down)"
_CAMERA_AXES = ("x (right)", DOWN, "z (away)")
AXES = {
    "root": _CAMERA_AXES,
    "camera": _CAMERA_AXES,
    "world": ("x (right)", "y (up)", "z (towards)"),
}
ORIGINS = {
    "root": "relative to the pelvis",
    "camera": "relative to the camera",
    "world": "in world space",
}
WIDTH_IN = 11.0
ROW_IN = 2.1
HEAD_IN = 0.9
DPI = 120
HALF_TURN_DEG = 180.0
"""An angle that changes by more between two frames has wrapped around; the line breaks there."""
_TEXT = (0.86, 0.88, 0.91)


@dataclass(frozen=True)
class _Row:
    """Curves that share panels: name -> function of a person -> (T, number of panels)."""

    title: str
    unit: str
    panels: Sequence[str]
    curves: Mapping[str, Callable[[PersonMotion], Float64]]


def plot_motion(
    result: VideoResult,
    out: Path,
    *,
    joints: Sequence[str] = (),
    angles: Sequence[str] = (),
    people: Sequence[int] = (),
) -> None:
    """Write motion_figure to a file with one of PLOT_SUFFIXES. Raises InvalidInput for another
    suffix, and as motion_figure does."""
    suffix = plot_suffix(out)
    figure = motion_figure(result, joints=joints, angles=angles, people=people)
    with written_whole(out) as part:
        figure.savefig(part, format=suffix[1:], dpi=DPI)


def motion_figure(
    result: VideoResult,
    *,
    joints: Sequence[str] = (),
    angles: Sequence[str] = (),
    people: Sequence[int] = (),
) -> "Figure":
    """Joints of H36M-17 and ANGLES over time, of the people with these ids (empty: all).

    A name without a side, as `knee`, means both. Without joints and angles, DEFAULT_JOINTS and
    DEFAULT_ANGLES are drawn. Frames without the person or with an undefined angle are gaps.
    Raises UnknownName, and InvalidInput if the result has no people.
    """
    selected = _people(result, people)
    if not (joints or angles):
        joints, angles = DEFAULT_JOINTS, DEFAULT_ANGLES
    rows = [
        *_rows("joint", joints, H36M17.joints, partial(_joint_row, AXES[_space(result)])),
        *_rows("angle", angles, ANGLES, _angle_row),
    ]
    return _figure(rows, selected, _heading(result))


def plot_suffix(out: Path) -> str:
    """The file's suffix in lower case. Raises InvalidInput if it is not one of PLOT_SUFFIXES."""
    suffix = out.suffix.lower()
    if suffix not in PLOT_SUFFIXES:
        raise InvalidInput(f"{out}: the file name must end in {', '.join(PLOT_SUFFIXES)}")
    return suffix


def _people(result: VideoResult, ids: Sequence[int]) -> list[PersonMotion]:
    if not result.people:
        raise InvalidInput("nobody is in the video: there is nothing to plot")
    known = {person.id: person for person in result.people}
    for id in ids:
        if id not in known:
            raise UnknownName("person", str(id), map(str, known))
    return [known[id] for id in dict.fromkeys(ids or known)]


def _rows(
    kind: str, names: Iterable[str], known: Sequence[str], row: Callable[[str, list[str]], _Row]
) -> list[_Row]:
    """One row for each name without its side, in the order of `names`."""
    by_base: dict[str, dict[str, None]] = {}
    for name in names:
        matches = [candidate for candidate in known if name in (candidate, _base(candidate))]
        if not matches:
            raise UnknownName(kind, name, known)
        by_base.setdefault(_base(name), {}).update(dict.fromkeys(matches))
    return [row(base, list(sided)) for base, sided in by_base.items()]


def _base(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")


def _space(result: VideoResult) -> str:
    return result.people[0].poses.space


def _joint_row(axes: Sequence[str], base: str, names: list[str]) -> _Row:
    def curve(joint: int) -> Callable[[PersonMotion], Float64]:
        return lambda person: person.poses.xyz[:, joint].astype(np.float64)

    return _Row(base, "m", axes, {name: curve(H36M17.index(name)) for name in names})


def _angle_row(base: str, names: list[str]) -> _Row:
    def curve(angle: int) -> Callable[[PersonMotion], Float64]:
        return lambda person: joint_angles(person.poses)[:, angle, None]

    return _Row(base.replace("_", " "), "°", [""], {n: curve(ANGLES.index(n)) for n in names})


def _heading(result: VideoResult) -> str:
    name, version = result.model
    return f"{name} {version}, {result.video.fps:.4g} frames/s; joints {ORIGINS[_space(result)]}"


def _figure(rows: Sequence[_Row], people: Sequence[PersonMotion], heading: str) -> "Figure":
    from matplotlib.figure import Figure  # imported where needed: it loads slowly

    figure = Figure(
        (WIDTH_IN, HEAD_IN + ROW_IN * len(rows)), facecolor=_rgb(BACKGROUND), layout="constrained"
    )
    grid = figure.add_gridspec(len(rows), len(_CAMERA_AXES))
    widths = [len(row.panels) for row in rows]
    # the last of successive rows with the same panels has the time axis
    timed = [n for n, width in enumerate(widths) if [width] != widths[n + 1 : n + 2]]
    legend: dict[str, Colour] = {}
    first: Axes | None = None
    for place, row in enumerate(rows):
        for column, panel in enumerate(row.panels):
            cell = grid[place, column] if len(row.panels) > 1 else grid[place, :]
            axes = figure.add_subplot(cell, sharex=first)
            first = first or axes
            _style(axes, f"{row.title} {panel}".rstrip() + f", {row.unit}", place in timed)
            for person in people:
                legend |= _draw_row(axes, row, column, person)
            if panel == DOWN:
                axes.invert_yaxis()
    _add_legend(figure, legend, heading)
    return figure


def _draw_row(axes: "Axes", row: _Row, column: int, person: PersonMotion) -> dict[str, Colour]:
    """Draw one person's curves in a panel; returns legend text -> colour."""
    legend = {}
    for name, curve in row.curves.items():
        colour = colours_of(person.id).of(name)
        _draw_curve(axes, person, curve(person)[:, column], row.unit, colour)
        side = name.removesuffix(_base(name)).rstrip("_")
        legend[f"{person.id} {side}".strip()] = colour
    return legend


def _draw_curve(
    axes: "Axes", person: PersonMotion, values: Float64, unit: str, colour: Colour
) -> None:
    """A line for each run of successive frames, a dot for a single frame between two gaps."""
    broken = np.diff(person.frames) > 1
    broken |= np.isnan(values[:-1]) | np.isnan(values[1:])
    if unit == "°":
        broken |= np.abs(np.diff(values)) > HALF_TURN_DEG
    breaks = np.flatnonzero(broken) + 1
    single = np.diff(np.concatenate([[0], breaks, [len(values)]])) == 1
    axes.plot(
        np.insert(person.times_s, breaks, np.nan),
        np.insert(values, breaks, np.nan),
        color=_rgb(colour),
        linewidth=1.5,
    )
    starts = np.concatenate([[0], breaks])[single]
    axes.plot(person.times_s[starts], values[starts], ".", color=_rgb(colour), markersize=3)


def _style(axes: "Axes", title: str, timed: bool) -> None:
    axes.set_facecolor(_rgb(BACKGROUND))
    axes.set_title(title, loc="left", fontsize=10, color=_TEXT)
    axes.grid(color=_rgb(GRID), linewidth=0.5, alpha=0.6)
    axes.tick_params(colors=_TEXT, labelsize=8, labelbottom=timed)
    axes.spines[:].set_visible(False)
    axes.margins(x=0)
    if timed:
        axes.set_xlabel("time, s", color=_TEXT)


def _add_legend(figure: "Figure", colours: Mapping[str, Colour], heading: str) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=_rgb(c), linewidth=3, label=text) for text, c in colours.items()]
    figure.suptitle(heading, color=_TEXT, fontsize=11)
    figure.legend(
        handles=lines, loc="outside lower center", ncols=8, frameon=False, labelcolor=_TEXT
    )


def _rgb(colour: Colour) -> tuple[float, float, float]:
    """Components 0..1, as Matplotlib expects."""
    r, g, b = colour
    return r / 255, g / 255, b / 255
