"""GLB, read back by pygltflib and animated as the glTF specification defines."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from axes import y_up
from model import PersonMotion, PoseSequence, VideoResult, write_motion
from model.keypoints.skeleton import H36M17
from model.motion.limbs import constant_limbs

SHAPES = {"SCALAR": (), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}
DTYPES = {5121: np.uint8, 5123: np.uint16, 5126: np.float32}


class Scene:
    """A GLB file, evaluated as by a viewer."""

    def __init__(self, path: Path):
        self.gltf = pygltflib.GLTF2().load_binary(str(path))
        self.names = [node.name for node in self.gltf.nodes]
        animation = self.gltf.animations[0]
        self.times_s = self.array(animation.samplers[0].input)
        self.animated = {
            (channel.target.node, channel.target.path): self.array(
                animation.samplers[channel.sampler].output
            )
            for channel in animation.channels
        }

    def array(self, index: int) -> NDArray[np.float64]:
        accessor = self.gltf.accessors[index]
        view = self.gltf.bufferViews[accessor.bufferView]
        shape = (accessor.count, *SHAPES[accessor.type])
        blob = self.gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
        values = np.frombuffer(blob, DTYPES[accessor.componentType]).reshape(shape)
        np.testing.assert_array_equal(values.min(axis=0).ravel(), accessor.min)
        np.testing.assert_array_equal(values.max(axis=0).ravel(), accessor.max)
        return values.astype(np.float64)

    def transforms(self, key: int | None) -> NDArray[np.float64]:
        """Each node's global matrix at a key of the animation, at rest for None: (N, 4, 4)."""
        matrices = np.tile(np.eye(4), (len(self.names), 1, 1))
        pending = [(node, np.eye(4)) for node in self.gltf.scenes[0].nodes]
        while pending:
            node, above = pending.pop()
            matrices[node] = above @ self._local(node, key)
            pending += [(child, matrices[node]) for child in self.gltf.nodes[node].children]
        return matrices

    def _local(self, node: int, key: int | None) -> NDArray[np.float64]:
        local = np.eye(4)
        local[:3, 3] = self.gltf.nodes[node].translation or 0
        if key is not None and (node, "translation") in self.animated:
            local[:3, 3] = self.animated[node, "translation"][key]
        if key is not None and (node, "rotation") in self.animated:
            turn = Rotation.from_quat(self.animated[node, "rotation"][key])
            local[:3, :3] = turn.as_matrix()
        return local

    def joints(self) -> NDArray[np.float64]:
        """(keys, 17, 3)."""
        rows = [self.names.index(joint) for joint in H36M17.joints]
        keys = range(len(self.times_s))
        return np.stack([self.transforms(key)[rows, :3, 3] for key in keys])

    def vertices(self, key: int | None) -> NDArray[np.float64]:
        """The skinned mesh: (V, 3)."""
        skin = self.gltf.skins[0]
        inverse_bind = self.array(skin.inverseBindMatrices).transpose(0, 2, 1)
        skinning = self.transforms(key)[skin.joints] @ inverse_bind
        primitive = self.gltf.meshes[0].primitives[0]
        vertices = self.array(primitive.attributes.POSITION)
        vertices = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1)
        weights = self.array(primitive.attributes.WEIGHTS_0)
        joints = self.array(primitive.attributes.JOINTS_0).astype(int)
        return np.einsum("vw,vwij,vj->vi", weights, skinning[joints], vertices)[:, :3]


def written(person: PersonMotion, result: VideoResult, path: Path) -> Scene:
    write_motion(replace(result, people=(person,)), "glb", path)
    return Scene(path)


@pytest.mark.parametrize(("fixture", "space"), [("real_result", "world"), ("gappy_result", "root")])
def test_glb_joints_match_poses_with_constant_limbs(
    fixture: str, space: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    result: VideoResult = request.getfixturevalue(fixture).in_space(space)
    for person in result.people:
        scene = written(person, result, tmp_path / "person.glb")
        count, last_s = len(person.frames), result.video.duration_s - 1 / result.video.fps
        np.testing.assert_allclose(scene.times_s[:count], person.times_s, atol=1e-6)
        assert scene.times_s[-1] == pytest.approx(last_s)
        expected = y_up(constant_limbs(person.poses))
        np.testing.assert_allclose(scene.joints()[:count], expected, atol=1e-5)
        np.testing.assert_allclose(scene.joints()[-1], expected[-1], atol=1e-5)


def test_quaternions_take_the_short_way(real_result: VideoResult, tmp_path: Path) -> None:
    scene = written(real_result.people[0], real_result, tmp_path / "person.glb")
    rotations = [values for (_, path), values in scene.animated.items() if path == "rotation"]
    assert len(rotations) == 16
    for quaternions in rotations:
        np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1, atol=1e-6)
        assert ((quaternions[1:] * quaternions[:-1]).sum(axis=-1) > 0).all()


def test_mesh_follows_the_bones(real_result: VideoResult, tmp_path: Path) -> None:
    scene = written(real_result.people[0], real_result, tmp_path / "person.glb")
    for key in (None, 0, 40):
        joints = scene.transforms(key)[:, :3, 3]
        vertices = scene.vertices(key).reshape(-1, 6, 3)
        assert len(vertices) == 16
        for start, *_, end in vertices:
            assert np.linalg.norm(joints - start, axis=-1).min() < 1e-5
            assert np.linalg.norm(joints - end, axis=-1).min() < 1e-5
    faces = scene.array(scene.gltf.meshes[0].primitives[0].indices).astype(int).reshape(-1, 3)
    first = scene.vertices(None)[faces[:8]]
    centre = scene.vertices(None)[:6].mean(axis=0)
    outward = np.cross(first[:, 1] - first[:, 0], first[:, 2] - first[:, 0])
    assert (((first.mean(axis=1) - centre) * outward).sum(axis=-1) > 0).all()


def test_coincident_joints_give_a_glb(real_result: VideoResult, tmp_path: Path) -> None:
    nowhere = PoseSequence(np.zeros((75, 17, 3), np.float32), 30)
    scene = written(replace(real_result.people[0], poses=nowhere), real_result, tmp_path / "p.glb")
    np.testing.assert_array_equal(scene.joints(), np.zeros((75, 17, 3)))
