"""A loaded PoseFormer model: 2D keypoints -> 3D poses.

A frame's spatial features do not depend on its neighbours, so the graph is split in memory into a
spatial and a temporal half: each frame is encoded once into one row of features, and windows are
gathered from these rows. A Lifter holds no state of a sequence; threads share it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx.utils import Extractor

from model.errors import InvalidInput
from model.keypoints.sequences import Float32, KeypointSequence, PoseSequence
from model.keypoints.skeleton import H36M17
from model.lifting.camera import (
    Box,
    hold_last_seen,
    image_input,
    mirror_input,
    mirror_pose,
    one_person_input,
    person_input,
    pixels_to_rays,
    turn_back,
    whole_image,
)
from model.lifting.model_files import (
    FRAME_FEATURES,
    FRAME_JOINTS,
    FRAME_ROWS,
    ModelInfo,
    read_model,
)
from model.lifting.options import LiftOptions
from model.lifting.passes import (
    TOKENS_A_PASS,
    Encode,
    Lifting,
    Pass,
    Readouts,
    carry_out,
    lift_centre,
    lift_dense,
)
from model.lifting.signals import Evidence
from model.lifting.strides import interpolated, strided_frames
from model.lifting.window import Window
from model.runtime.devices import Device, find_devices
from model.runtime.precision import PRECISIONS, in_float16
from model.runtime.sessions import Copies, GpuOptions, Halves, SessionSettings


class Prepared(NamedTuple):
    """Network inputs (T, 17, C); rotation (T, 3, 3), camera -> rotated axes; the state that
    `prepare` needs for the next chunk of the same person."""

    inputs: Float32
    rotation: Float32
    state: "InputState"


@dataclass(frozen=True)
class InputState:
    """For frames with too few joints: the last box, or the last position of each joint."""

    box: Box | None = None
    last_xy: Float32 | None = None


class Lifter:
    """A loaded model: `lift` a sequence, or `run` prepared windows."""

    def __init__(
        self,
        info: ModelInfo,
        copies: Copies,
        devices: Sequence[Device],
        tokens_a_pass: int = TOKENS_A_PASS,
    ):
        self.info = info
        self.name = info.name
        self.version = info.version
        self.frames = info.frames
        self.window = Window(past=info.frames // 2, future=info.frames // 2)
        self.skeleton = H36M17
        self.has_dense = "dense" in info.readouts
        self.devices = tuple(map(str, devices))
        self.provider = devices[0].provider
        self.tokens_a_pass = tokens_a_pass
        self._copies = copies

    @staticmethod
    def load(
        path: Path,
        *,
        threads: int = 1,
        device: str = "cpu",
        tokens_a_pass: int = TOKENS_A_PASS,
        precision: str = "float32",
        gpu: GpuOptions | None = None,
    ) -> "Lifter":
        """Read and check a model file; raises ModelFileError, InvalidInput and DeviceUnavailable.

        `threads` are those of ONNX Runtime per model call. Each GPU has its own copy and runs one
        call at a time. `precision` float16 converts a float32 file in memory, and no other.
        """
        if precision not in PRECISIONS:
            names = " or ".join(PRECISIONS)
            raise InvalidInput(f"precision is {names}, got {precision[:80]!r}", ("precision",))
        devices = find_devices(device)
        model, info = read_model(Path(path))
        convert = precision == "float16" and info.precision == "float32"
        spatial, temporal = halves(model, info, devices[0])
        if convert:
            info = replace(info, precision=precision)
            spatial, temporal = in_float16(spatial), in_float16(temporal)
        settings = SessionSettings(threads, tokens_a_pass, convert, gpu or GpuOptions())
        copies = [
            Halves(settings.open(spatial, place, 1), settings.open(temporal, place, info.frames))
            for place in devices
        ]
        exclusive = devices[0].is_gpu
        return Lifter(info, Copies(copies, exclusive=exclusive), devices, tokens_a_pass)

    @property
    def device(self) -> str:
        """The device for a detector beside this model: cpu or cuda:N."""
        return self.devices[0].replace("tensorrt", "cuda")

    def warm(self) -> None:
        """Run every copy with passes of 1, 2, 4, ... tokens up to the largest, so that kernels and
        memory are ready before the first request."""
        powers = [2**power for power in range(self.tokens_a_pass.bit_length())]
        for _ in range(len(self._copies)):
            with self._copies.acquire() as halves:
                for tokens in [*powers, self.tokens_a_pass]:
                    frames = np.zeros((tokens, len(H36M17.joints), self.info.channels), np.float32)
                    features = halves.spatial.run(frames)[0]
                    rows = max(1, tokens // self.frames) * self.frames
                    halves.temporal.run(np.resize(features, (rows, features.shape[-1])))

    def lift(self, sequence: KeypointSequence, options: LiftOptions | None = None) -> PoseSequence:
        """A pose for each frame, root-relative, in camera axes.

        The first and the last frame are repeated beyond the ends. Above the trained frame rates
        every k-th frame is lifted and the poses between are interpolated. Raises InvalidInput if
        the model does not support the options.
        """
        return carry_out(self.lifting(sequence, options), self.run_pass)

    def lifting(
        self, sequence: KeypointSequence, options: LiftOptions | None = None
    ) -> Lifting[PoseSequence]:
        """`lift` as a lift task, for a caller that runs the passes."""
        options = options or LiftOptions()
        self.check(options)
        count, stride = len(sequence), self.info.stride(sequence.fps)
        frames = strided_frames(count, stride)
        strided = sequence if stride == 1 else sequence.pick(frames)
        prepared = self.prepare(strided.to_h36m17(), options.focal_px)
        readout = lift_dense if options.readout == "dense" else lift_centre
        tokens = self.tokens_a_pass
        xyz = yield from readout(prepared.inputs, self.window, tokens)
        if options.flip:
            mirrored = yield from readout(mirror_input(prepared.inputs), self.window, tokens)
            xyz = (xyz + mirror_pose(mirrored)) / 2
        xyz = self.finish(xyz, prepared.rotation, options.height_m)
        if stride > 1:
            xyz = interpolated(frames, xyz, np.arange(count))
        return PoseSequence(xyz, sequence.fps)

    def delay_frames(self, fps: float) -> int:
        """The most frames between a frame and its final pose in a stream at `fps`."""
        stride = self.info.stride(fps)
        return self.window.future * stride + stride - 1

    def confidence(
        self, sequence: KeypointSequence, poses: PoseSequence, options: LiftOptions | None = None
    ) -> Float32 | None:
        """The confidence of each joint (T, 17) in 0..1, for unfiltered poses that `lift` returned
        with the same options; None if no confidence was fitted to this model."""
        options = options or LiftOptions()
        calibration = self.info.confidence
        if calibration is None:
            return None
        size = 1.0
        if options.height_m is not None and self.info.height_m is not None:
            size = options.height_m / self.info.height_m
        focal_px = options.focal_px or float(max(sequence.image_size))
        xyz = poses.xyz / np.float32(size)
        evidence = Evidence(sequence.to_h36m17(), xyz, calibration.bones_m, focal_px)
        return calibration.confidence(evidence)

    def run_pass(self, work: Pass) -> Any:
        """The result of one pass of a lift task."""
        return self.encode(work.inputs) if isinstance(work, Encode) else self.decode(work.windows)

    def run(self, windows: Float32) -> Readouts:
        """Prepared windows (B, f, 17, C) -> Readouts, in one model call per half."""
        features = self.encode(windows.reshape(-1, *windows.shape[2:]))
        return self.decode(features.reshape(len(windows), self.frames, -1))

    def encode(self, inputs: Float32) -> Float32:
        """The spatial half: frames (N, 17, C) -> features (N, D)."""
        with self._copies.acquire() as halves:
            return halves.spatial.run(inputs)[0]

    def decode(self, features: Float32) -> Readouts:
        """The temporal half: windows of features (B, f, D) -> Readouts."""
        flat = features.reshape(-1, features.shape[-1])
        with self._copies.acquire() as halves:
            outputs = halves.temporal.run(flat)
        return Readouts(outputs[0], outputs[1] if self.has_dense else None)

    def check(self, options: LiftOptions) -> None:
        """Raises InvalidInput if this model does not support the options."""
        if options.readout == "dense" and not self.has_dense:
            raise InvalidInput(f"model {self.name} has no dense readout", ("readout",))
        if options.height_m is not None and self.info.height_m is None:
            raise InvalidInput(f"model {self.name} does not know body heights", ("height_m",))

    def prepare(
        self,
        sequence: KeypointSequence,
        focal_px: float | None = None,
        state: InputState | None = None,
    ) -> Prepared:
        """The network inputs of an H36M-17 sequence, or of its next chunk with the state of the
        chunk before: bit-identical for any chunking."""
        state = state or InputState()
        if self.info.normalisation == "image":
            return _prepare_image(sequence, state)
        size, focal = np.array(sequence.image_size), float(focal_px or max(sequence.image_size))
        rays = pixels_to_rays(sequence.xy.astype(np.float64), size, focal)
        normalise = one_person_input if len(sequence) == 1 else person_input
        person = normalise(rays, sequence.confidence, state.box or whole_image(size, focal))
        last = InputState(Box(person.box.middle[-1], person.box.half_size[-1]))
        channels, rotation = person.channels, person.rotation
        return Prepared(channels.astype(np.float32), rotation.astype(np.float32), last)

    def finish(self, xyz: Float32, rotation: Float32, height_m: float | None) -> Float32:
        """Network outputs (T, 17, 3) in rotated axes -> camera axes, scaled to the person's height,
        with the pelvis moved to exactly zero from a fraction of a millimetre off."""
        turned = turn_back(xyz - xyz[:, :1], rotation)
        if height_m is None or self.info.height_m is None:
            return turned
        return turned * np.float32(height_m / self.info.height_m)


def halves(
    model: onnx.ModelProto, info: ModelInfo, device: Device
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The graph split into its spatial and its temporal half.

    On a CPU as late as possible, at FRAME_ROWS. On a GPU at FRAME_FEATURES, whose rows are a
    quarter as long, which saves more transfer than the repeated products cost (assumed).
    """
    tensors = {name for node in model.graph.node for name in node.output}
    late = FRAME_ROWS in tensors and not device.is_gpu
    seam, extractor = FRAME_ROWS if late else FRAME_FEATURES, Extractor(model)
    spatial = extractor.extract_model([FRAME_JOINTS], [seam])
    return spatial, extractor.extract_model([seam], list(info.readouts))


def _prepare_image(sequence: KeypointSequence, state: InputState) -> Prepared:
    size, before = np.array(sequence.image_size, np.float32), state.last_xy
    if before is None:
        before = np.full((len(H36M17.joints), 2), np.nan, np.float32)
    xy, last = hold_last_seen(sequence.xy, sequence.confidence, before, size / 2)
    rotation = np.broadcast_to(np.eye(3, dtype=np.float32), (len(xy), 3, 3))
    return Prepared(image_input(xy, size), rotation, InputState(last_xy=last))
