"""The commands and programs of the documentation run, each page in a folder like the checkout."""

import re
from pathlib import Path

import httpx
import pytest

import doc_pages as pages
from paths import ROOT
from service.cli import main
from service.settings import read_settings

RUN = ("README.md", "docs/library.md", "docs/detectors.md")
"""Pages that are run from their first block to their last."""
ELSEWHERE = ("docs/onnx.md", "docs/streaming.md", "docs/training.md")
"""Pages with tests of their own."""
WRITTEN_BY_HAND = (*RUN, *ELSEWHERE, "CONTRIBUTING.md", "docs/docker.md", "docs/gpu.md")
NEED_EXTRAS = ("docker", "pip", "trtexec", "uv", "python")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", RUN)
def test_examples_of_a_page_run_in_order(
    page: str,
    server: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages.checkout(tmp_path)
    monkeypatch.chdir(tmp_path)
    url = str(server.base_url).rstrip("/")
    names: dict[str, object] = {"__name__": page}
    for language, text in pages.blocks(page, "sh", "python"):
        if language == "python":
            named = re.match(r"# (\w+\.py)\n", text)
            if named:
                Path(named[1]).write_text(text)
            exec(compile(text.replace("http://127.0.0.1:8000", url), page, "exec"), names)
        else:
            for words in pages.commands(text):
                with monkeypatch.context() as patch:
                    run(words, server, patch)


def run(words: list[str], server: httpx.Client, patch: pytest.MonkeyPatch) -> None:
    """One command; of those that take minutes or extras only that they exist is checked."""
    variables, words = pages.assignments(words)
    for name, value in variables.items():
        patch.setenv(name, value)
    if "PYTHONPATH" in variables:
        patch.syspath_prepend(Path(variables["PYTHONPATH"]).resolve())
    program, *rest = words
    if program == "curl":
        response = pages.send(server, words)
        assert response.is_success, response.text
    elif program == ".venv/bin/poselift" and rest[0] == "serve":
        read_settings()
    elif program == ".venv/bin/poselift" and "mmpose" not in rest:
        assert main(rest) == 0, words
    elif program == "make":
        assert rest[0] in TARGETS, words
    else:
        assert program in (*NEED_EXTRAS, ".venv/bin/poselift"), words


@pytest.mark.parametrize("page", WRITTEN_BY_HAND)
def test_commands_of_a_page_exist(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Also those inside sentences: `make TARGET`, `.venv/bin/poselift COMMAND --option`."""
    text = (ROOT / page).read_text()
    lines = re.findall(r"`(?:[A-Z_]+=\S+ )*((?:make|\.venv/bin/poselift) [^`\n]+)`", text)
    for block in pages.blocks(page, "sh"):
        lines += [" ".join(pages.assignments(words)[1]) for words in pages.commands(block[1])]
    for line in lines:
        program, *words = line.split()
        if program == "make":
            assert {word for word in words[:1] if "=" not in word} <= TARGETS, line
        elif program == ".venv/bin/poselift":
            with pytest.raises(SystemExit, match="^0$"):
                main([words[0], "--help"])
            known = capsys.readouterr().out
            assert [word for word in words if word.startswith("--") and word not in known] == []


@pytest.mark.parametrize("page", WRITTEN_BY_HAND)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    folder = (ROOT / page).parent
    local = [link for link in links if not link.startswith("http")]
    assert [link for link in local if not (folder / link).exists()] == []
