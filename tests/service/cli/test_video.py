"""`poselift video`: files, folders and URLs, lifted here or on a server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest

from model import InvalidInput, TooLarge, VideoResult, read_npz
from paths import CLIPS, ONE, ROOT
from service.cli import main, video
from service.cli.sources import Source, download_video, sources
from service.cli.targets import targets

FAST = ("--max-people", "1", "--detect-every", "5")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def same_result(real_result: VideoResult, monkeypatch: pytest.MonkeyPatch) -> VideoResult:
    """Every video is lifted to this result, at no cost."""
    monkeypatch.setattr(video, "lift_video", lambda path, *_: path.stat() and real_result)
    return real_result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two videos and other files."""
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("b.mp4", "a.mov", ".hidden.mp4", "a.overlay.mp4"):
        (videos / name).write_bytes(ONE.read_bytes())
    (videos / "notes.txt").write_text("ftyp is at the wrong place")
    (videos / "sub").mkdir()
    return videos


def test_video_is_lifted_into_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "new" / "results"
    assert (
        main(["video", str(ONE), "-o", str(out), "--format", "json,npz", "--overlay", *FAST]) == 0
    )
    assert names(out) == ["one_person.json", "one_person.npz", "one_person.overlay.mp4"]
    document = json.loads((out / "one_person.json").read_text())
    (person,) = read_npz(out / "one_person.npz").people
    np.testing.assert_array_equal(np.float32(document["people"][0]["poses"]), person.poses.xyz)
    assert document["applied"]["detect_every"] == 5


def test_server_makes_the_same_files(server: httpx.Client, tmp_path: Path) -> None:
    command = ["video", str(ONE), "--format", "npz,bvh,overlay", *FAST]
    assert main([*command, "-o", str(tmp_path / "here")]) == 0
    assert main([*command, "-o", str(tmp_path / "there"), "--server", str(server.base_url)]) == 0
    assert names(tmp_path / "here") == names(tmp_path / "there")
    here, there = (tmp_path / side / "one_person.bvh" for side in ("here", "there"))
    assert here.read_bytes() == there.read_bytes()


def test_unreachable_server_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.client.messages._back_off", lambda state: 0)
    command = ["video", str(ONE), "-o", str(tmp_path), "--server", "http://127.0.0.1:9"]
    assert main(command) == 1
    output = capsys.readouterr().err
    assert "one_person.mp4: http://127.0.0.1:9: " in output and output.count("\n") == 1


def test_missing_video_does_not_stop_the_others(
    same_result: VideoResult, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [folder, tmp_path / "missing.mp4", ONE]
    assert main(["video", *map(str, paths), "-o", str(tmp_path / "out")]) == 1
    assert names(tmp_path / "out") == ["a.json", "b.json", "one_person.json"]
    assert (
        capsys.readouterr().err == f"poselift: {tmp_path}/missing.mp4: No such file or directory\n"
    )


def test_existing_results_are_kept_without_overwrite(
    same_result: VideoResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["video", str(ONE), "-o", str(tmp_path), "--format", "json,csv"]
    (tmp_path / "one_person.json").write_text("old")
    assert main(command) == 0
    assert (tmp_path / "one_person.json").read_text() == "old"
    assert (tmp_path / "one_person.csv").exists()
    assert "one_person.json: already exists; --overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert json.loads((tmp_path / "one_person.json").read_text())["people"]


def test_existing_named_file_is_an_error(
    same_result: VideoResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "poses.npz"
    path.write_text("old")
    assert main(["video", str(ONE), "-o", str(path)]) == 1
    assert "already exists; --overwrite" in capsys.readouterr().err
    assert path.read_text() == "old"
    assert main(["video", str(ONE), "-o", str(path), "--overwrite"]) == 0
    assert len(read_npz(path).people) == 2


def test_format_of_one_person_becomes_a_file_per_person(
    same_result: VideoResult, tmp_path: Path
) -> None:
    command = ["video", str(ONE), "-o", str(tmp_path), "--format", "bvh,angles"]
    assert main(command) == 0
    assert names(tmp_path) == ["one_person-1.bvh", "one_person-2.bvh", "one_person.angles.csv"]
    stamps = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    assert main(command) == 0
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())] == stamps


def test_format_of_one_person_warns_if_nobody_was_found(
    real_result: VideoResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = VideoResult(real_result.video, ("d", "1"), ("m", "1"), (), (), {}, None)
    monkeypatch.setattr(video, "lift_video", lambda *_: empty)
    assert main(["video", str(ONE), "-o", str(tmp_path / "poses.bvh")]) == 0
    assert "nobody was found in the video: no bvh was written" in capsys.readouterr().err
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ("--format bvh,npz --overlay", ["one.bvh", "one.npz", "one.overlay.mp4"]),
        ("--format json --overlay out/x.mp4", ["one.json", "out/x.mp4"]),
        ("--overlay", ["one.overlay.mp4"]),
        ("--overlay out/x.mp4", ["out/x.mp4"]),
        ("-o out --overlay", ["out/one.json", "out/one.overlay.mp4"]),
        ("-o out --format csv,overlay --overlay out/x.mp4", ["out/one.csv", "out/x.mp4"]),
        ("-o out/two.trc --overlay", ["out/one.overlay.mp4", "out/two.trc"]),
    ],
)
def test_overlay_is_written_with_and_without_a_name(
    options: str,
    made: list[str],
    real_result: VideoResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    one = replace(real_result, people=real_result.people[:1])
    monkeypatch.setattr(video, "lift_video", lambda *_: one)
    monkeypatch.setattr(video, "render_overlay", lambda video, result, out, _: out.touch() or [])
    Path("out").mkdir()
    Path("one.mov").symlink_to(ONE)
    # a name after --overlay is the video if there is no other
    last = options.endswith("--overlay")
    assert (
        main(["video", *([] if last else ["one.mov"]), *options.split(), *last * ["one.mov"]]) == 0
    )
    files = [str(path) for path in Path().rglob("*.*")]
    assert sorted(files) == sorted([*made, "one.mov"])


def test_contradictory_outputs_are_rejected(folder: Path, tmp_path: Path) -> None:
    two = [Source("x/a.mp4", "a"), Source("y/a.mov", "a")]
    one = [Source(str(ONE), "one_person")]
    (tmp_path / "file").write_text("")
    for videos, output, formats, overlay, message in [
        (two, tmp_path, None, False, "x/a.mp4 and y/a.mov would both write .*/a\\.\\*"),
        (two, tmp_path / "a.npz", None, False, "2 videos do not fit into one file"),
        (two, tmp_path, None, tmp_path / "a.mp4", "2 videos do not fit into one file"),
        (one, tmp_path / "a.npz", "csv", False, "--format is for -o FOLDER"),
        (one, tmp_path, "json,fbx", False, "unknown format 'fbx'; known: .*bvh.*overlay"),
        (one, tmp_path, "", False, "unknown format ''; known: "),
        (one, tmp_path / "a.txt", None, False, "the name must end in .json, .npz"),
        (one, tmp_path / "file", None, False, "is a file"),
        (one, None, None, ONE, "is the video itself"),
        (one, None, None, False, "no output: use -o"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            targets(videos, output, formats, overlay)
    (folder / "a.mov").unlink()
    (folder / "b.mp4").unlink()
    with pytest.raises(InvalidInput, match="none of the 3 files in this folder is a video"):
        sources([str(folder)])


@pytest.mark.parametrize(
    ("url", "stem"),
    [
        ("https://a.org/b/clip.mp4?x=1", "clip"),
        ("http://a.org", "a.org"),
        ("http://a.org/..", "a.org"),
        ("http://a.org/%2e%2e%2Fetc%2Fpass%00wd.mp4", "passwd"),
    ],
)
def test_results_of_a_url_stay_in_their_folder(url: str, stem: str) -> None:
    (source,) = sources([url])
    assert source.is_url
    assert source.stem == stem or (stem == ".." and "/" not in source.stem)
    (planned,) = targets([source], Path("out"), None, None)
    assert planned.motions["json"].parent == Path("out")


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """The files of a folder over HTTP; `?n` redirects to itself n times."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            left = int(self.path.partition("?")[2] or 0)
            if left:
                self.send_response(302)
                self.send_header("location", f"{self.path.partition('?')[0]}?{left - 1}")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None: ...

    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_url_is_downloaded_and_lifted(same_result: VideoResult, tmp_path: Path) -> None:
    with hosted(CLIPS) as url:
        assert main(["video", f"{url}/one_person.mp4?3", "-o", str(tmp_path)]) == 0
    assert names(tmp_path) == ["one_person.json"]


def test_download_checks_size_status_and_redirects(tmp_path: Path) -> None:
    path, reports = tmp_path / "video", []
    with hosted(CLIPS) as url:
        download_video(f"{url}/one_person.mp4", path, 10**6, lambda *now: reports.append(now))
        size = ONE.stat().st_size
        assert path.read_bytes() == ONE.read_bytes()
        assert reports[-1] == ("downloading", size, size)
        for address, limit, error, message in [
            (f"{url}/one_person.mp4", 1000, TooLarge, "larger than 0.001 MB"),
            (f"{url}/none.mp4", 10**6, InvalidInput, "answered 404"),
            (f"{url}/one_person.mp4?9", 10**6, InvalidInput, "redirects"),
            ("http://127.0.0.1:9/a.mp4", 10**6, InvalidInput, "refused"),
            ("http://[/a.mp4", 10**6, InvalidInput, "a.mp4: "),
        ]:
            with pytest.raises(error, match=message):
                download_video(address, path, limit, lambda *_: None)


def test_ctrl_c_leaves_only_complete_files(tmp_path: Path) -> None:
    """Ctrl-C after the first of two videos."""
    again = tmp_path / "again.mp4"
    again.write_bytes((CLIPS / "two_people.mp4").read_bytes())
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "video", str(ONE), str(again), "-o", str(out), *FAST],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        # shells make background processes, such as a test run, ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end_s = time.monotonic() + 60
    while not (out / "one_person.json").exists():
        assert process.poll() is None and time.monotonic() < end_s
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in output
    assert names(out) == ["one_person.json"]
    assert not list(tmp_path.glob("poselift*"))


def test_ctrl_c_cancels_the_job_on_the_server(
    server: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {job["id"] for job in server.get("/jobs").json()["jobs"]}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("service.client.client.Client.follow", interrupted)
    command = ["video", str(ONE), "-o", str(tmp_path), "--server", str(server.base_url)]
    assert main(command) == 130
    (job,) = [job for job in server.get("/jobs").json()["jobs"] if job["id"] not in known]
    assert job["status"] == "cancelled"
    assert names(tmp_path) == []
