"""A video's audio, written into another video: copied where MP4 and browsers support the codec,
else encoded as AAC."""

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
"""MP4 holds these and browsers play them."""
MIN_COPY_HZ = 16_000
"""MP4 cannot hold MP3 of a lower sampling rate."""
AAC_HZ = 48_000
AAC_BITS_PER_S = 160_000

Packets: TypeAlias = "Iterator[Packet[AudioStream]]"


class AudioWriter:
    """Writes audio packets into a container, in the order of their times."""

    def __init__(self, packets: Packets, container: OutputContainer, warnings: list[str]):
        self._packets = packets
        self._container = container
        self._warnings = warnings
        self._pending = self._next_packet()

    def write_until(self, time_s: float) -> None:
        """Write the packets that start before this time of the video."""
        while self._pending is not None and _time_s(self._pending) < time_s:
            self._container.mux(self._pending)
            self._pending = self._next_packet()

    def _next_packet(self) -> "Packet[AudioStream] | None":
        try:
            return next(self._packets, None)
        except av.FFmpegError as error:
            self._warnings.append(f"the audio breaks off: {error.strerror}")
            return None


@contextmanager
def open_audio(
    path: Path, out: OutputContainer, start_s: float, warnings: list[str]
) -> Iterator[AudioWriter | None]:
    """A writer of the audio of the video at `path`, from `start_s` on its clock; None if it has
    none. Audio that cannot be decoded is left out, with a warning."""
    with path.open("rb") as file, open_container(file) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            yield None
        elif not stream.codec_context:
            warnings.append("the audio is left out: no decoder is available for its codec")
            yield None
        else:
            packets = _copied if _can_copy(stream) else _encoded
            yield AudioWriter(packets(container, stream, out, start_s), out, warnings)


def _can_copy(stream: AudioStream) -> bool:
    return stream.codec_context.codec.canonical_name in COPIED and stream.rate >= MIN_COPY_HZ


def _copied(
    container: InputContainer, stream: AudioStream, out: OutputContainer, start_s: float
) -> Packets:
    target = out.add_stream_from_template(stream)
    return _shifted(container.demux(stream), target, start_s)


def _shifted(packets: Packets, target: AudioStream, start_s: float) -> Packets:
    for packet in packets:
        if packet.pts is None or packet.is_discard:
            continue
        packet.pts -= round(start_s / packet.time_base)
        packet.dts = packet.pts
        if packet.pts >= 0:
            packet.stream = target
            yield packet


def _encoded(
    container: InputContainer, stream: AudioStream, out: OutputContainer, start_s: float
) -> Packets:
    target = out.add_stream("aac", rate=AAC_HZ, layout="stereo", bit_rate=AAC_BITS_PER_S)
    return _as_aac(_resampled(_decoded(container, stream), start_s), target)


def _as_aac(frames: Iterator[AudioFrame], target: AudioStream) -> Packets:
    for frame in frames:
        yield from target.encode(frame)
    yield from target.encode(None)


def _resampled(frames: Iterator[AudioFrame], start_s: float) -> Iterator[AudioFrame]:
    """Gaps become silence and audio before time 0 is cut, so that the rest keeps its times."""
    graph = None
    for frame in frames:
        if frame.pts is None or frame.time_base is None:
            continue
        frame.pts -= round(start_s / frame.time_base)
        graph = graph or _resampler(frame)
        graph.push(frame)
        yield from _pulled(graph)
    if graph:
        graph.push(None)
        yield from _pulled(graph)


def _resampler(first: AudioFrame) -> Graph:
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
        with suppress(av.InvalidDataError):  # a damaged packet becomes silence
            yield from stream.decode(packet)


def _time_s(packet: "Packet[AudioStream]") -> float:
    return float((packet.pts or 0) * packet.time_base)
