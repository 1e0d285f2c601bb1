"""Becoming a member of a cluster that runs: both sides of the one question that a new node asks, once in its life.

The new node asks any member, as often as it takes, under one name and one incarnation that it wrote down first; the member
puts it into the table as a learner. What it is told, its id and who else there is, is durable before it does anything.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

import msgspec

from ringleader.errors import NotAppliedError, Reason, RingleaderError, UsageError
from ringleader.group.host import Host
from ringleader.node.config import NodeConfig, format_address
from ringleader.node.identity import FolderIdentity, joining_incarnation, write_joined
from ringleader.ports import Disk, Entropy
from ringleader.runtime.joining import NoMemberError, ask_to_join
from ringleader.runtime.tls import TlsFiles
from ringleader.store.commands import Failure
from ringleader.store.member_ops import MemberAdd, MemberResult
from ringleader.store.version import SUPPORTED_VERSION
from ringleader.wire.frames import NodeInfo, Refused, Results
from ringleader.wire.peer import NONCE_BYTES, PEER_MAGIC, PEER_VERSION, PeerHello, PeerJoined, PeerRefused

__all__ = ["answer_join", "become_member"]

logger = logging.getLogger("ringleader.node")

PATIENCE = 60.0
"""Seconds after which a node gives up that nobody took in."""
ONE_ANSWER = 8.0
"""Seconds for one member to answer."""
PAUSE = 0.5
"""Seconds between two rounds."""
FINAL = frozenset(
    {Reason.MEMBER_EXISTS, Reason.INVALID_ARGUMENT, Reason.WRONG_CLUSTER, Reason.VERSION, Reason.PERMISSION_DENIED}
)
"""Refusals that waiting does not mend."""


async def become_member(
    disk: Disk, config: NodeConfig, info: NodeInfo, peer: str, entropy: Entropy, tls: TlsFiles | None = None
) -> None:
    """Ask the members named by `config.join` until one takes this node in; then write the identity, durably.

    `info`, `peer`: where clients and the others reach this node. `tls`: as for links.
    Raises `RingleaderError` saying what every one answered.
    """
    incarnation = joining_incarnation(disk, secrets.token_hex(8))
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    said = ""
    while loop.time() < end:
        troubles: list[tuple[str, object]] = []
        for address in config.join_addresses:
            hello = _hello(config, info, peer, incarnation, entropy)
            answer = await _ask(address, config.cluster_token, hello, tls)
            if isinstance(answer, PeerJoined):
                write_joined(disk, answer, config.name, incarnation)
                logger.info("joined cluster %s as node %d (%s)", answer.cluster, answer.node, config.name)
                return
            if isinstance(answer, PeerRefused) and answer.reason in FINAL:
                raise _refused(address, answer)
            troubles.append((format_address(*address), answer))
        text = "; ".join(f"{place}: {_words(answer)}" for place, answer in troubles)
        if all(isinstance(answer, NoMemberError) for _, answer in troubles):
            raise UsageError(
                f"no member of a cluster with this token answers ({text})",
                reason=Reason.WRONG_CLUSTER,
                hint="Check that join names peer ports of members, and that cluster_token is theirs"
                + _no_token(config),
            )
        if text != said:
            said = text
            logger.warning("not a member yet: %s", text)
        await asyncio.sleep(PAUSE * (0.5 + entropy.random()))
    raise NotAppliedError(
        f"no member took this node in within {PATIENCE:g} s ({said})",
        reason=Reason.UNREACHABLE,
        node=config.name,
        hint="Check the addresses (peer ports of members), and that the cluster has a leader",
    )


def _hello(config: NodeConfig, info: NodeInfo, peer: str, incarnation: str, entropy: Entropy) -> PeerHello:
    return PeerHello(
        magic=PEER_MAGIC,
        version=PEER_VERSION,
        role="join",
        cluster="",
        from_node=0,
        from_name=config.name,
        to_node=0,
        nonce=entropy.getrandbits(8 * NONCE_BYTES).to_bytes(NONCE_BYTES, "big"),
        client=info.client,
        http=info.http,
        peer=peer,
        incarnation=incarnation,
        supports=SUPPORTED_VERSION,
        consensus=config.choice,
    )


def _no_token(config: NodeConfig) -> str:
    return (
        "" if config.cluster_token else '; here cluster_token is not set (that of a `ringleader dev` cluster is "dev")'
    )


async def _ask(
    address: tuple[str, int], token: str, hello: PeerHello, tls: TlsFiles | None
) -> PeerJoined | PeerRefused | Exception:
    """One member's answer, or what went wrong."""
    try:
        return await ask_to_join(address, token, hello, ONE_ANSWER, tls)
    except (TimeoutError, NoMemberError, OSError, UnicodeError) as error:
        return error


def _words(answer: object) -> str:
    if isinstance(answer, PeerRefused):
        return answer.message
    return "no answer in time" if isinstance(answer, TimeoutError) else str(answer)


def _refused(address: tuple[str, int], answer: PeerRefused) -> RingleaderError:
    hint = ""
    if answer.reason is Reason.MEMBER_EXISTS:
        hint = "Remove the old member first (`ringleader cluster remove NAME`), or choose another name"
    elif answer.reason is Reason.WRONG_CLUSTER:
        hint = "Leave consensus and phase2_quorum out: a node that joins takes what the cluster has chosen"
    text = f"the member at {format_address(*address)} does not take this node in: {answer.message}"
    return UsageError(text, reason=answer.reason, hint=hint)


def answer_join(
    host: Host, identity: FolderIdentity, hello: PeerHello, answer: Callable[[PeerJoined | PeerRefused], None]
) -> None:
    """The member's side: put the node that said `hello` into the table as a learner, and tell it who it is."""

    def done(result: Results | Refused) -> None:
        if isinstance(result, Refused):
            answer(PeerRefused(result.reason, result.message))
            return
        (made,) = result.results
        if isinstance(made, MemberResult):
            members = host.store.members
            rows = [row for _, row in sorted(members.rows.items())]
            # The table may not say yet where this very member is reached; whoever joins has to find somebody.
            own = host.config.peer
            rows = [msgspec.structs.replace(r, peer=r.peer or own) if r.id == identity.node else r for r in rows]
            joined = PeerJoined(
                identity.cluster,
                made.member.id,
                identity.members,
                rows,
                host.store.applied,
                members.next_id,
                identity.consensus,
            )
            answer(joined)
        elif isinstance(made, Failure):
            answer(PeerRefused(made.reason, made.message))

    if not hello.incarnation:
        answer(PeerRefused(Reason.INVALID_ARGUMENT, "a node that joins has to say which data folder it has"))
        return
    if hello.consensus is not None and not identity.consensus.grants(hello.consensus):
        text = f"this cluster runs {identity.consensus}, the new node asks for {hello.consensus}"
        answer(PeerRefused(Reason.WRONG_CLUSTER, text))
        return
    host.ask(
        [MemberAdd(hello.from_name, hello.peer, hello.client, hello.http, hello.incarnation, supports=hello.supports)],
        done,
    )
