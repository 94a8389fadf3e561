"""The sound of a film, taken into another one: as it is where MP4 and browsers take it, else as
AAC."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.packet import Packet

from model.video.containers import open_container

COPIED = ("aac", "mp3", "opus")
"""What an MP4 holds and browsers play."""
LEAST_HZ = 16_000
"""MP3 of a lower rate has no place in an MP4."""
AAC_HZ = 48_000
AAC_BITS_PER_S = 160_000


Packets: TypeAlias = "Iterator[Packet[AudioStream]]"


class Sound:
    """Packets on their way into a film, in the order of their times."""

    def __init__(self, packets: Packets, container: OutputContainer, warnings: list[str]):
        self._packets = packets
        self._container = container
        self._warnings = warnings
        self._next = self._following()

    def write_until(self, time_s: float) -> None:
        """Write what begins before this time of the film."""
        while self._next is not None and _time_s(self._next) < time_s:
            self._container.mux(self._next)
            self._next = self._following()

    def _following(self) -> "Packet[AudioStream] | None":
        try:
            return next(self._packets, None)
        except av.FFmpegError as error:
            self._warnings.append(f"the sound breaks off: {error.strerror}")
            return None


@contextmanager
def open_sound(
    path: Path, out: OutputContainer, start_s: float, warnings: list[str]
) -> Iterator[Sound | None]:
    """The sound of the film at `path`, from `start_s` on; None where it has none. Sound that cannot
    be read is left out, with a warning."""
    with path.open("rb") as file, open_container(file) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            yield None
        elif not stream.codec_context:
            warnings.append("the sound is left out: nothing here can decode it")
            yield None
        else:
            take = _copied if _fits(stream) else _encoded
            yield Sound(take(container, stream, out, start_s), out, warnings)


def _fits(stream: AudioStream) -> bool:
    return stream.codec_context.codec.canonical_name in COPIED and stream.rate >= LEAST_HZ


def _copied(
    container: InputContainer, stream: AudioStream, out: OutputContainer, start_s: float
) -> Packets:
    taken = out.add_stream_from_template(stream)
    return _moved(container.demux(stream), taken, start_s)


def _moved(packets: Packets, taken: AudioStream, start_s: float) -> Packets:
    for packet in packets:
        if packet.pts is None or packet.is_discard:
            continue
        packet.pts -= round(start_s / packet.time_base)
        packet.dts = packet.pts
        if packet.pts >= 0:
            packet.stream = taken
            yield packet


def _encoded(
    container: InputContainer, stream: AudioStream, out: OutputContainer, start_s: float
) -> Packets:
    taken = out.add_stream("aac", rate=AAC_HZ, layout="stereo", bit_rate=AAC_BITS_PER_S)
    return _through_aac(_resampled(_decoded(container, stream), start_s), taken)


def _through_aac(frames: Iterator[AudioFrame], taken: AudioStream) -> Packets:
    for frame in frames:
        yield from taken.encode(frame)
    yield from taken.encode(None)


def _resampled(frames: Iterator[AudioFrame], start_s: float) -> Iterator[AudioFrame]:
    """Gaps become silence, and what comes before time 0 goes, so that the sound keeps its times."""
    graph = None
    for frame in frames:
        if frame.pts is None or frame.time_base is None:
            continue
        frame.pts -= round(start_s / frame.time_base)
        graph = graph or _resampling(frame)
        graph.push(frame)
        yield from _pulled(graph)
    if graph:
        graph.push(None)
        yield from _pulled(graph)


def _resampling(first: AudioFrame) -> Graph:
    graph = Graph()
    graph.link_nodes(
        graph.add_abuffer(
            sample_rate=first.sample_rate,
            format=first.format,
            layout=first.layout,
            time_base=first.time_base,
        ),
        graph.add("atrim", "start=0"),
        graph.add("aresample", f"{AAC_HZ}:async=1:min_hard_comp=0.003:first_pts=0"),
        graph.add("aformat", f"sample_fmts=fltp:channel_layouts=stereo:sample_rates={AAC_HZ}"),
        graph.add("abuffersink"),
    ).configure()
    return graph


def _pulled(graph: Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, AudioFrame)
        yield frame


def _decoded(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    for packet in container.demux(stream):
        with suppress(av.InvalidDataError):  # a damaged packet is a moment of silence
            yield from stream.decode(packet)


def _time_s(packet: "Packet[AudioStream]") -> float:
    return float((packet.pts or 0) * packet.time_base)
