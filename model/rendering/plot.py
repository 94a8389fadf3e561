"""Joints and angles over time as a figure: PNG, SVG or PDF.

One row of panels for each joint (its x, y and z) or angle; left and right share a row. Colours are
those of the overlay video.
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
USUAL_JOINTS = ("wrist", "ankle")
USUAL_ANGLES = ("knee_flexion", "hip_flexion", "elbow_flexion", "trunk_lean")
DOWN = "y (down)"
_CAMERA_AXES = ("x (right)", DOWN, "z (away)")
AXES = {
    "root": _CAMERA_AXES,
    "camera": _CAMERA_AXES,
    "world": ("x (right)", "y (up)", "z (towards)"),
}
FROM = {"root": "relative to the pelvis", "camera": "seen from the camera", "world": "in the room"}
WIDTH_IN = 11.0
ROW_IN = 2.1
HEAD_IN = 0.9
DPI = 120
HALF_TURN_DEG = 180.0
"""An angle that changes by more between two frames has gone over the end of its range."""
_WORDS = (0.86, 0.88, 0.91)


@dataclass(frozen=True)
class _Row:
    """Curves that share panels: name -> (T, 3) or (T, 1), by person."""

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
    """Write motion_figure as one of PLOT_SUFFIXES; raises as that does, and InvalidInput."""
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
    """Joints of H36M-17 and ANGLES of people (ids; none: everybody) over time.

    A name without its side, as `knee`, means both. Where neither joints nor angles are named, the
    usual ones are drawn. Times in which somebody was away, or an angle has no meaning, are gaps.
    Raises UnknownName, and InvalidInput where nobody is in the video.
    """
    shown = _people(result, people)
    if not (joints or angles):
        joints, angles = USUAL_JOINTS, USUAL_ANGLES
    rows = [
        *_rows("joint", joints, H36M17.joints, partial(_joint_row, AXES[_space(result)])),
        *_rows("angle", angles, ANGLES, _angle_row),
    ]
    return _figure(rows, shown, _heading(result))


def plot_suffix(out: Path) -> str:
    """Of a figure's file; raises InvalidInput."""
    suffix = out.suffix.lower()
    if suffix not in PLOT_SUFFIXES:
        raise InvalidInput(f"{out}: the name ends in {', '.join(PLOT_SUFFIXES)}")
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
    what: str, asked: Iterable[str], known: Sequence[str], row: Callable[[str, list[str]], _Row]
) -> list[_Row]:
    """One for each name without its side, in the order asked for."""
    by_base: dict[str, dict[str, None]] = {}
    for name in asked:
        meant = [one for one in known if name in (one, _base(one))]
        if not meant:
            raise UnknownName(what, name, known)
        by_base.setdefault(_base(name), {}).update(dict.fromkeys(meant))
    return [row(base, list(names)) for base, names in by_base.items()]


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
    return f"{name} {version}, {result.video.fps:.4g} frames/s; joints {FROM[_space(result)]}"


def _figure(rows: Sequence[_Row], people: Sequence[PersonMotion], heading: str) -> "Figure":
    from matplotlib.figure import Figure  # here: only those who plot wait for it

    figure = Figure(
        (WIDTH_IN, HEAD_IN + ROW_IN * len(rows)), facecolor=_of_1(BACKGROUND), layout="constrained"
    )
    grid = figure.add_gridspec(len(rows), len(_CAMERA_AXES))
    widths = [len(row.panels) for row in rows]
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
    """One person's curves of a panel; gives the colours by what they mean."""
    drawn = {}
    for name, curve in row.curves.items():
        colour = colours_of(person.id).of(name)
        _draw_curve(axes, person, curve(person)[:, column], row.unit, colour)
        side = name.removesuffix(_base(name)).rstrip("_")
        drawn[f"{person.id} {side}".strip()] = colour
    return drawn


def _draw_curve(
    axes: "Axes", person: PersonMotion, values: Float64, unit: str, colour: Colour
) -> None:
    """A line for each unbroken run of frames, a dot for each frame between two gaps."""
    broken = np.diff(person.frames) > 1
    broken |= np.isnan(values[:-1]) | np.isnan(values[1:])
    if unit == "°":
        broken |= np.abs(np.diff(values)) > HALF_TURN_DEG
    at = np.flatnonzero(broken) + 1
    alone = np.diff(np.concatenate([[0], at, [len(values)]])) == 1
    axes.plot(
        np.insert(person.times_s, at, np.nan),
        np.insert(values, at, np.nan),
        color=_of_1(colour),
        linewidth=1.5,
    )
    starts = np.concatenate([[0], at])[alone]
    axes.plot(person.times_s[starts], values[starts], ".", color=_of_1(colour), markersize=3)


def _style(axes: "Axes", title: str, timed: bool) -> None:
    axes.set_facecolor(_of_1(BACKGROUND))
    axes.set_title(title, loc="left", fontsize=10, color=_WORDS)
    axes.grid(color=_of_1(GRID), linewidth=0.5, alpha=0.6)
    axes.tick_params(colors=_WORDS, labelsize=8, labelbottom=timed)
    axes.spines[:].set_visible(False)
    axes.margins(x=0)
    if timed:
        axes.set_xlabel("time, s", color=_WORDS)


def _add_legend(figure: "Figure", colours: Mapping[str, Colour], heading: str) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=_of_1(c), linewidth=3, label=text) for text, c in colours.items()]
    figure.suptitle(heading, color=_WORDS, fontsize=11)
    figure.legend(
        handles=lines, loc="outside lower center", ncols=8, frameon=False, labelcolor=_WORDS
    )


def _of_1(colour: Colour) -> tuple[float, float, float]:
    """As matplotlib wants it: 0..1."""
    r, g, b = colour
    return r / 255, g / 255, b / 255
