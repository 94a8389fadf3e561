"""Figures as Markdown tables."""

from collections.abc import Mapping

from model.training.evaluation.errors import Report

_SHOWN_AHEAD = (0, 1, 2, 4, 8, 13, 20, 40)


def errors_table(rows: Mapping[str, Report], *, actions: bool = False) -> str:
    """A row for each condition, averaged over people; then MPJPE per person and, with `actions`,
    per action."""
    names = list(next(iter(rows.values())).mean)
    lines = _header(["", *names])
    for kind, report in rows.items():
        lines.append(_row(kind, [report.mean[name] for name in names]))
        lines.append(_row(f"{kind}, mean over actions", _values(report.mean_over_actions, names)))
    for kind, report in rows.items():
        people = ", ".join(f"{name} {row['mpjpe']:.1f}" for name, row in report.people.items())
        lines.append(f"\n{kind}, MPJPE of each person: {people}")
        if actions:
            lines += ["", *_header([kind, *names])]
            lines += [_row(act, _values(row, names)) for act, row in report.actions.items()]
    return "\n".join(lines)


def figures_table(rows: Mapping[str, Mapping[str, float]], digits: int = 1) -> str:
    """A row for each name, a column for each figure."""
    names = list(next(iter(rows.values())))
    lines = _header(["", *names])
    lines += [_row(name, _values(row, names), digits) for name, row in rows.items()]
    return "\n".join(lines)


def look_ahead_table(ahead: Mapping[str, Mapping[int, float]]) -> str:
    """MPJPE of the dense readout by look-ahead (frames)."""
    frames = max(next(iter(ahead.values())))
    shown = [n for n in _SHOWN_AHEAD if n <= frames // 2]
    lines = _header(["frames of look-ahead", *map(str, shown)])
    return "\n".join(lines + [_row(kind, [row[n] for n in shown]) for kind, row in ahead.items()])


def _values(row: Mapping[str, float], names: list[str]) -> list[float]:
    return [row[name] for name in names]


def _header(cells: list[str]) -> list[str]:
    return ["| " + " | ".join(cells) + " |", "|---" * len(cells) + "|"]


def _row(name: str, values: list[float], digits: int = 1) -> str:
    return f"| {name} | " + " | ".join(f"{value:.{digits}f}" for value in values) + " |"
