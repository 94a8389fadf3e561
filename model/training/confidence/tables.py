"""A judgement as Markdown, for the terminal and docs/confidence.md."""

from collections.abc import Mapping

from model.training.confidence.judge import Judgement, Part


def judgement_tables(judgement: Judgement) -> str:
    within = f"truly within {judgement.within_mm:g} mm"
    lines = [
        "| | confidence | the detector's score |",
        "|---|---|---|",
        f"| AUROC of errors over 150 mm | {judgement.auroc:.3f} | {judgement.score_auroc:.3f} |",
        f"| rank correlation with the error | {judgement.rank:.2f} | {judgement.score_rank:.2f} |",
        f"| mean distance from the truth (ECE) | {judgement.calibration:.3f} | |",
        "",
        f"| confidence | {within} | mean error, mm | share of all joints |",
        "|---|---|---|---|",
    ]
    for one in judgement.bins:
        lines.append(
            f"| {one.confidence:.2f} | {one.within:.2f} | {one.error_mm:.0f} | {one.share:.1%} |"
        )
    lines += ["", *_parts("joint", judgement.kinds, within)]
    lines += ["", *_parts("person", judgement.people, within)]
    return "\n".join(lines)


def _parts(what: str, parts: Mapping[str, Part], within: str) -> list[str]:
    rows = [
        f"| {name} | {part.within:.2f} | {part.confidence:.2f} | {part.auroc:.2f} |"
        for name, part in parts.items()
    ]
    header = f"| {what} | {within} | mean confidence | AUROC |"
    return [header, "|---|---|---|---|", *rows]
