"""Command line options for published data sets, and the videos they select."""

import argparse
from pathlib import Path

from model.errors import InvalidInput
from model.training.datasets import human36m, mpi_inf_3dhp
from model.training.datasets.videos import DatasetVideo


def dataset_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("videos of a published data set that you have")
    group.add_argument("--human36m", type=Path, metavar="FILE", help="data_3d_h36m.npz")
    group.add_argument(
        "--keypoints",
        type=Path,
        metavar="FILE",
        help="its 2D keypoints, data_2d_h36m_*.npz; without it: true 2D",
    )
    group.add_argument(
        "--mpi-inf-3dhp",
        type=Path,
        metavar="FILE",
        help="data_train_3dhp.npz to train, data_test_3dhp.npz to evaluate",
    )


def training_videos(options: argparse.Namespace) -> list[DatasetVideo]:
    """Videos of the training subjects. Raises InvalidInput."""
    _check(options)
    if options.human36m:
        return human36m.load_human36m(
            options.human36m, options.keypoints, subjects=human36m.TRAIN_SUBJECTS
        )
    return mpi_inf_3dhp.load_training(options.mpi_inf_3dhp) if options.mpi_inf_3dhp else []


def test_videos(options: argparse.Namespace) -> list[DatasetVideo]:
    """Videos of the test subjects. Raises InvalidInput."""
    _check(options)
    if options.human36m:
        return human36m.load_human36m(
            options.human36m, options.keypoints, subjects=human36m.TEST_SUBJECTS
        )
    return mpi_inf_3dhp.load_test(options.mpi_inf_3dhp) if options.mpi_inf_3dhp else []


def _check(options: argparse.Namespace) -> None:
    if options.human36m and options.mpi_inf_3dhp:
        raise InvalidInput("use one of --human36m and --mpi-inf-3dhp")
    if options.keypoints and not options.human36m:
        raise InvalidInput("--keypoints can only be used with --human36m")
