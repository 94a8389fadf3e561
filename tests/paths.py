"""Where the tests find the project and their data."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
CLIPS = ROOT / "tests" / "clips"
ONE = CLIPS / "one_person.mp4"
TWO = CLIPS / "two_people.mp4"
