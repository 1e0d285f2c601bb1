"""Space-time diagrams: time runs down, every node and client has a lifeline, messages are arrows between them."""

from ringleader.sim.picture.diagram import Arrow, Diagram, Mark, Sign
from ringleader.sim.picture.of_trace import space_time
from ringleader.sim.picture.svg import draw

__all__ = ["Arrow", "Diagram", "Mark", "Sign", "draw", "space_time"]
