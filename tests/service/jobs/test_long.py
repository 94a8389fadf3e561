"""Tests that take minutes; `make test-long` runs them."""

import io
import random
import time
from pathlib import Path

import av
import psutil
import pytest

from films import film
from jobs_client import ONE, at_work, at_work_on, begin, ended
from paths import CLIPS
from servers import server_process

pytestmark = pytest.mark.long


def test_killing_the_server_twenty_times_loses_no_job(tmp_path: Path) -> None:
    """Most of ten jobs outlast several servers; each succeeds once."""
    rng = random.Random(0)
    settings = {"jobs_folder": tmp_path, "job_attempts": 100, "results_kept_h": 10}
    accepted: list[str] = []
    results: dict[str, bytes] = {}
    for _ in range(20):
        with server_process(**settings) as (process, client):
            for path, result in results.items():
                assert client.get(f"{path}/result").content == result
            while len(accepted) < 10:
                accepted.append(begin(client, ONE if len(accepted) % 2 else film()))
            time.sleep(rng.uniform(0, 8))
            for path in accepted:
                if client.get(path).json()["status"] == "succeeded":
                    results[path] = client.get(f"{path}/result").content
            process.kill()
    with server_process(**settings) as (_, client):
        assert len(client.get("/jobs").json()["jobs"]) == 10
        assert {ended(client, path)["status"] for path in accepted} == {"succeeded"}
        frames = [client.get(f"{path}/result").json()["video"]["frames"] for path in accepted]
    assert frames == [5, 48] * 5
    assert list(tmp_path.glob("media/*/attempt-*")) == list(tmp_path.glob("incoming/*")) == []


def looped(seconds: int) -> bytes:
    """A real video, looped at 25 frames/s."""
    written = io.BytesIO()
    with av.open(str(CLIPS / "one_person.mp4")) as source:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        step = round(1 / (25 * stream.time_base))
        shown = {pts: place for place, pts in enumerate(sorted(p.pts for p in packets))}
        with av.open(written, "w", format="matroska") as target:
            copy = target.add_stream_from_template(stream)
            for start in range(0, seconds * 25, len(packets)):
                for place, packet in enumerate(packets):
                    again = av.Packet(bytes(packet))
                    again.time_base, again.stream = stream.time_base, copy
                    again.is_keyframe = packet.is_keyframe
                    again.dts = (start + place) * step
                    again.pts = (start + shown[packet.pts] + 2) * step
                    target.mux(again)
    return written.getvalue()


def peak_mb(worker: psutil.Process) -> float:
    """The peak resident memory of a process."""
    status = Path(f"/proc/{worker.pid}/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1000


def test_memory_of_a_worker_does_not_grow_with_the_video() -> None:
    peaks_mb = []
    for minutes in (1, 10):
        with server_process(videos_at_once=1) as (_, client):
            # every frame is decoded and lifted, every tenth is detected
            path = begin(client, looped(60 * minutes), "detect_every=10")
            worker = at_work_on(at_work(client, path))
            assert ended(client, path)["status"] == "succeeded"
            peaks_mb.append(peak_mb(worker))
    print(
        f"\npeak memory of a worker: 1 minute {peaks_mb[0]:.0f} MB, 10 minutes {peaks_mb[1]:.0f} MB"
    )
    assert peaks_mb[1] < 1.2 * peaks_mb[0]
