"""Left and right of everybody in one live stream, put right as far as the past tells."""

from collections.abc import Mapping

from model import KeypointSequence, SwapRepair
from service.live.session import PersonId


class SwapRepairs:
    """One person's repair never looks at another; who is absent begins anew."""

    def __init__(self) -> None:
        self._present: dict[PersonId, SwapRepair] = {}

    def push(self, people: Mapping[PersonId, KeypointSequence]) -> dict[PersonId, KeypointSequence]:
        """Those seen now, each with the next frames of H36M-17."""
        self._present = {
            id: self._present.get(id) or SwapRepair(sequence.skeleton)
            for id, sequence in people.items()
        }
        return {id: self._present[id].push(sequence)[0] for id, sequence in people.items()}
