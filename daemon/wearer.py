"""The person who wears a headset, from the moment they are named until they are replaced."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.episodes import EpisodeTracker
from pipeline.prompt import Person
from pipeline.smoothing import Smoother


@dataclass(eq=False)
class Wearer:
    """subject: pseudonym. Windows carry their wearer, so that none is ever told under another name."""

    subject: str
    person: Person
    smoother: Smoother = field(default_factory=Smoother)
    episodes: EpisodeTracker = field(default_factory=EpisodeTracker)
