"""The one lifting path: 2D keypoints -> 3D poses through a PoseFormer model file.

A frame's spatial features do not depend on its neighbours, so the file's one graph is cut in memory
into its spatial and its temporal half: each frame is encoded once, and windows are gathered from
what that gave, a row for each frame (its features). A Lifter holds no state of any sequence and is
shared by threads.
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
    whole_picture,
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
    """Frames as the network reads them, and what the next chunk of the same person needs.

    inputs (T, 17, C); rotation (T, 3, 3), camera -> turned axes; state for `prepare`.
    """

    inputs: Float32
    rotation: Float32
    state: "InputState"


@dataclass(frozen=True)
class InputState:
    """What a frame without a person inherits: the last box, or where joints were last seen."""

    box: Box | None = None
    last_xy: Float32 | None = None


class Lifter:
    """A loaded model: `lift` a sequence, or `run` windows that are already prepared."""

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

        `threads` is ONNX Runtime's for one call; several callers each bring their own. On several
        GPUs each has its own copy, and runs one pass at a time. `precision` float16 converts a
        float32 file in memory; another stays what it is.
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
            Halves(settings.open(spatial, one, rows=1), settings.open(temporal, one, info.frames))
            for one in devices
        ]
        exclusive = devices[0].is_gpu
        return Lifter(info, Copies(copies, exclusive=exclusive), devices, tokens_a_pass)

    @property
    def device(self) -> str:
        """Where a detector beside it runs: cpu or cuda:N."""
        return self.devices[0].replace("tensorrt", "cuda")

    def warm(self) -> None:
        """Run every copy once at each size of a pass, in powers of two up to the largest: what is
        loaded, allocated or built at a first run is then there."""
        powers = [2**power for power in range(self.tokens_a_pass.bit_length())]
        for _ in range(len(self._copies)):
            with self._copies.acquire() as halves:
                for tokens in [*powers, self.tokens_a_pass]:
                    frames = np.zeros((tokens, len(H36M17.joints), self.info.channels), np.float32)
                    features = halves.spatial.run(frames)[0]
                    rows = max(1, tokens // self.frames) * self.frames
                    halves.temporal.run(np.resize(features, (rows, features.shape[-1])))

    def lift(self, sequence: KeypointSequence, options: LiftOptions | None = None) -> PoseSequence:
        """A pose for each frame, in camera axes. The first and the last frame are repeated beyond
        the ends; one frame is enough. Above the trained frame rates every k-th frame is lifted, the
        poses between are interpolated. Raises InvalidInput for a readout that the file lacks."""
        return carry_out(self.lifting(sequence, options), self.run_pass)

    def lifting(
        self, sequence: KeypointSequence, options: LiftOptions | None = None
    ) -> Lifting[PoseSequence]:
        """What `lift` does, for whoever runs the passes."""
        options = options or LiftOptions()
        self.check(options)
        count, stride = len(sequence), self.info.stride(sequence.fps)
        frames = strided_frames(count, stride)
        kept = sequence if stride == 1 else sequence.pick(frames)
        prepared = self.prepare(kept.to_h36m17(), options.focal_px)
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
        """How many frames after a frame its final pose is known, at most, in a stream at `fps`."""
        stride = self.info.stride(fps)
        return self.window.future * stride + stride - 1

    def confidence(
        self, sequence: KeypointSequence, poses: PoseSequence, options: LiftOptions | None = None
    ) -> Float32 | None:
        """How sure each joint is, 0..1: (T, 17), for poses as `lift` gave them with these options,
        before any filter; None where no confidence was fitted to this model."""
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

    def run_pass(self, wanted: Pass) -> Any:
        """What a lifting is sent for one of its passes."""
        return (
            self.encode(wanted.inputs)
            if isinstance(wanted, Encode)
            else self.decode(wanted.windows)
        )

    def run(self, windows: Float32) -> Readouts:
        """Prepared windows (B, f, 17, C) -> Readouts; every window through one model call."""
        features = self.encode(windows.reshape(-1, *windows.shape[2:]))
        return self.decode(features.reshape(len(windows), self.frames, -1))

    def encode(self, inputs: Float32) -> Float32:
        """The spatial half, each frame on its own: (N, 17, C) -> (N, D)."""
        with self._copies.acquire() as halves:
            return halves.spatial.run(inputs)[0]

    def decode(self, features: Float32) -> Readouts:
        """The temporal half: windows of features (B, f, D) -> Readouts."""
        flat = features.reshape(-1, features.shape[-1])
        with self._copies.acquire() as halves:
            found = halves.temporal.run(flat)
        return Readouts(found[0], found[1] if self.has_dense else None)

    def check(self, options: LiftOptions) -> None:
        """Raises InvalidInput where this model cannot do what the options ask."""
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
        """What the network reads of an H36M-17 sequence, or of the next chunk of one: the same
        bits however it is cut, given the state that the chunk before left."""
        state = state or InputState()
        if self.info.normalisation == "image":
            return _prepare_image(sequence, state)
        size, focal = np.array(sequence.image_size), float(focal_px or max(sequence.image_size))
        rays = pixels_to_rays(sequence.xy.astype(np.float64), size, focal)
        see = one_person_input if len(sequence) == 1 else person_input
        seen = see(rays, sequence.confidence, state.box or whole_picture(size, focal))
        after = Box(seen.box.middle[-1], seen.box.half_size[-1])
        return Prepared(
            seen.channels.astype(np.float32), seen.rotation.astype(np.float32), InputState(after)
        )

    def finish(self, xyz: Float32, rotation: Float32, height_m: float | None) -> Float32:
        """Answers (T, 17, 3) in their turned axes -> camera axes, at the person's height, and the
        pelvis, which a network puts a fraction of a millimetre off, at exactly zero."""
        turned = turn_back(xyz - xyz[:, :1], rotation)
        if height_m is None or self.info.height_m is None:
            return turned
        return turned * np.float32(height_m / self.info.height_m)


def halves(
    model: onnx.ModelProto, info: ModelInfo, device: Device
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The graph cut where the frames of a window meet. A GPU is sent whole windows, and there a row
    of the features alone, a quarter as long, is taken to be worth the products computed anew."""
    tensors = {name for node in model.graph.node for name in node.output}
    late = FRAME_ROWS in tensors and not device.is_gpu
    seam, cut = FRAME_ROWS if late else FRAME_FEATURES, Extractor(model)
    spatial = cut.extract_model([FRAME_JOINTS], [seam])
    return spatial, cut.extract_model([seam], list(info.readouts))


def _prepare_image(sequence: KeypointSequence, state: InputState) -> Prepared:
    size = np.array(sequence.image_size, np.float32)
    before = np.full((len(H36M17.joints), 2), np.nan, np.float32)
    before = before if state.last_xy is None else state.last_xy
    xy, last = hold_last_seen(sequence.xy, sequence.confidence, before, size / 2)
    rotation = np.broadcast_to(np.eye(3, dtype=np.float32), (len(xy), 3, 3))
    return Prepared(image_input(xy, size), rotation, InputState(last_xy=last))
