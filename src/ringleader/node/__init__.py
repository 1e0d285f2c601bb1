"""A running node: configuration, wiring, start and stop; health and metrics; the way in for a client of the same process.

`load_config` reads a `NodeConfig`; `Node(config)` runs inside any asyncio loop; `run(config)` is a whole process.
"""

from ringleader.node.config import NodeConfig, load_config, parse_peers
from ringleader.node.local import LocalDialer
from ringleader.node.node import Node
from ringleader.node.run import run, serve, setup_logging

__all__ = ["LocalDialer", "Node", "NodeConfig", "load_config", "parse_peers", "run", "serve", "setup_logging"]
