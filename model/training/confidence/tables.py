"""Reliability as Markdown tables."""

from collections.abc import Mapping

from model.training.confidence.reliability import Group, Reliability


def reliability_tables(reliability: Reliability) -> str:
    within = f"within {reliability.within_mm:g} mm"
    lines = [
        "| | confidence | the detector's score |",
        "|---|---|---|",
        "| AUROC of errors over 150 mm | "
        f"{reliability.auroc:.3f} | {reliability.score_auroc:.3f} |",
        "| rank correlation with the error | "
        f"{reliability.rank:.2f} | {reliability.score_rank:.2f} |",
        f"| expected calibration error (ECE) | {reliability.calibration:.3f} | |",
        "",
        f"| confidence | {within} | mean error, mm | share of all joints |",
        "|---|---|---|---|",
    ]
    for row in reliability.bins:
        lines.append(
            f"| {row.confidence:.2f} | {row.within:.2f} | {row.error_mm:.0f} | {row.share:.1%} |"
        )
    lines += ["", *_group_table("joint", reliability.kinds, within)]
    lines += ["", *_group_table("person", reliability.people, within)]
    return "\n".join(lines)


def _group_table(title: str, groups: Mapping[str, Group], within: str) -> list[str]:
    rows = [
        f"| {name} | {group.within:.2f} | {group.confidence:.2f} | {group.auroc:.2f} |"
        for name, group in groups.items()
    ]
    header = f"| {title} | {within} | mean confidence | AUROC |"
    return [header, "|---|---|---|---|", *rows]
