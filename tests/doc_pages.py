"""The code blocks of the documentation, and what it takes to run them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import av
import httpx

from paths import CLIPS, ROOT

SHORT_FRAMES = 20


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """(language, text) of the code blocks of a page, in order."""
    found = re.findall(r"```(\w+)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return [(language, text) for language, text in found if language in languages]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a block for sh, without comments."""
    part = ""
    for line in text.splitlines(keepends=True):
        part += line
        try:
            words = shlex.split(part, comments=True)
        except ValueError:  # a quotation goes on
            continue
        if not part.endswith("\\\n"):
            if words:
                yield words
            part = ""
    assert not part, f"unfinished: {part}"


def checkout(folder: Path) -> None:
    """Make a folder look like the checkout, with only the first frames of the clips in it."""
    (folder / "tests" / "clips").mkdir(parents=True)
    for name in ("README.md", "weights", "tests/data"):
        (folder / name).symlink_to(ROOT / name)
    for clip in CLIPS.glob("*.mp4"):
        _shorten(clip, folder / "tests" / "clips" / clip.name)


def _shorten(clip: Path, short: Path) -> None:
    with av.open(str(clip)) as source, av.open(str(short), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(video=0) if p.dts is not None][:SHORT_FRAMES]
        for packet in packets:
            packet.stream = stream
            target.mux(packet)


def send(client: httpx.Client, words: list[str]) -> httpx.Response:
    """What `curl` sends; files are taken from the current folder. ID is the newest job."""
    values = {"-F": [], "-H": [], "-d": [], "-X": [], "-o": []}
    rest, url = iter(words[1:]), ""
    for word in rest:
        if word in values:
            values[word].append(next(rest))
        elif word not in ("-s", "-N"):
            assert not (word.startswith("-") or url), f"{word}: not known here"
            url = word
    address = urlsplit(url if "//" in url else f"http://{url}")
    assert address.netloc in ("127.0.0.1:8000", "localhost:8000"), url
    path = address.path + (f"?{address.query}" if address.query else "")
    if "ID" in path.split("/"):
        newest = client.get("/jobs?limit=1").json()["jobs"][0]["id"]
        path = path.replace("/ID", f"/{newest}")
    files = {}
    for field in values["-F"]:
        name, _, file = field.partition("=@")
        files[name] = Path(file).read_bytes()
    content = "".join(values["-d"]) or None
    if content and content.startswith("@"):
        content = Path(content[1:]).read_text()
    method = (values["-X"] or ["POST" if files or content else "GET"])[0]
    headers = dict(header.split(": ", 1) for header in values["-H"])
    response = client.request(method, path, headers=headers, content=content, files=files or None)
    for out in values["-o"]:
        Path(out).write_bytes(response.content)
    return response


def assignments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The variables in front of a command, and the command."""
    count = next(n for n, word in enumerate(words) if not re.match(r"[A-Z_]+=", word))
    return dict(word.split("=", 1) for word in words[:count]), words[count:]
