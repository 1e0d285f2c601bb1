"""`ringleader kv`: put, get, delete, range, watch and transactions from the shell."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringleader.cli.common import (
    BIGGEST,
    Endpoints,
    Json,
    Timeout,
    as_json,
    bytes_of,
    fail,
    parse_number,
    read_input,
    run,
    say,
    text_of,
    usage,
    write,
)
from ringleader.errors import RingleaderError

if TYPE_CHECKING:
    from ringleader.client import (
        Client,
        Condition,
        DeleteResult,
        KeyValue,
        Operation,
        PutResult,
        RangeResult,
        TxnResult,
    )

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The key.")]
Prefix = Annotated[bool, typer.Option("--prefix", help="All keys that begin with KEY.")]
RangeEnd = Annotated[str | None, typer.Option("--range-end", metavar="KEY", help="All keys from KEY up to this one.")]
LeaseOption = Annotated[str, typer.Option("--lease", metavar="ID", help="Attach the key to this lease.")]
ConsistencyOption = Annotated[
    str, typer.Option("--consistency", help='"linearizable", "leader_lease" or "stale" (may answer from the past).')
]


def described(kv: KeyValue) -> dict[str, Any]:
    """A key and value as JSON; what is not UTF-8 is shown with backslashes."""
    return {
        "key": text_of(kv.key),
        "value": text_of(kv.value),
        "create_revision": kv.create_revision,
        "mod_revision": kv.mod_revision,
        "version": kv.version,
        "lease": kv.lease,
    }


def end_of(range_end: str | None) -> bytes | None:
    """The end of a range as bytes."""
    return None if range_end is None else bytes_of(range_end)


@app.command()
def put(
    key: KeyArgument,
    value: Annotated[str, typer.Argument(metavar="VALUE", help='The value; "-" reads standard input.')],
    lease: LeaseOption = "0",
    prev: Annotated[bool, typer.Option("--prev", help="Show what was there before.")] = False,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Set a key."""
    data = read_input() if value == "-" else bytes_of(value)

    async def act(client: Client) -> None:
        result = await client.kv.put(bytes_of(key), data, lease=parse_number(lease, "a lease id"), prev_kv=prev)
        if json_:
            body: dict[str, Any] = {"revision": result.revision}
            if prev:
                body["previous"] = described(result.previous) if result.previous else None
            as_json(body)
        else:
            say(f"OK revision {result.revision}")
            if result.previous is not None:
                say(text_of(result.previous.value))

    run(endpoints, json_, timeout, act)


@app.command()
def get(
    key: KeyArgument,
    revision: Annotated[int, typer.Option(min=0, max=BIGGEST, help="As of this revision; 0: now.")] = 0,
    consistency: ConsistencyOption = "linearizable",
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Print a key's value; exit code 1 when there is none."""

    async def act(client: Client) -> KeyValue | None:
        return await client.kv.get(bytes_of(key), revision=revision, consistency=consistency)  # type: ignore[arg-type]  # checked there

    found = run(endpoints, json_, timeout, act)
    if json_:
        as_json({"kv": described(found) if found else None})
    elif found is not None:
        write(found.value)
    else:
        print(f"ringleader: there is no key {key!r}", file=sys.stderr)
    if found is None:
        raise typer.Exit(1)


@app.command()
def delete(
    key: KeyArgument,
    prefix: Prefix = False,
    range_end: RangeEnd = None,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Delete a key or a range of keys; says how many there were."""

    async def act(client: Client) -> None:
        result = await client.kv.delete(bytes_of(key), prefix=prefix, range_end=end_of(range_end))
        if json_:
            as_json({"revision": result.revision, "deleted": result.deleted})
        else:
            say(f"deleted {result.deleted}")

    run(endpoints, json_, timeout, act)


@app.command("range")
def range_(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The first key.")] = "",
    prefix: Prefix = False,
    range_end: RangeEnd = None,
    limit: Annotated[int, typer.Option(min=0, max=BIGGEST, help="At most so many; 0: all.")] = 0,
    revision: Annotated[int, typer.Option(min=0, max=BIGGEST, help="As of this revision; 0: now.")] = 0,
    sort_by: Annotated[str, typer.Option(help='"key", "version", "create", "mod" or "value".')] = "key",
    descending: Annotated[bool, typer.Option("--descending", help="Largest first.")] = False,
    keys_only: Annotated[bool, typer.Option("--keys-only", help="No values.")] = False,
    count_only: Annotated[bool, typer.Option("--count-only", help="Only how many.")] = False,
    consistency: ConsistencyOption = "linearizable",
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Print keys and values; without KEY all of them."""

    async def act(client: Client) -> None:
        result = await client.kv.range(
            bytes_of(key),
            prefix=prefix or (not key and range_end is None),
            range_end=end_of(range_end),
            limit=limit,
            revision=revision,
            sort_by=sort_by,  # type: ignore[arg-type]  # checked by the store
            descending=descending,
            keys_only=keys_only,
            count_only=count_only,
            consistency=consistency,  # type: ignore[arg-type]  # checked by the node
        )
        if json_:
            kvs = [described(kv) for kv in result.items]
            as_json({"revision": result.revision, "count": result.count, "more": result.more, "kvs": kvs})
        elif count_only:
            say(str(result.count))
        else:
            for kv in result.items:
                say(text_of(kv.key) if keys_only else f"{text_of(kv.key)}\t{text_of(kv.value)}")

    run(endpoints, json_, timeout, act)


@app.command()
def watch(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key; without it all keys.")] = "",
    prefix: Prefix = False,
    range_end: RangeEnd = None,
    revision: Annotated[int, typer.Option(min=0, max=BIGGEST, help="From this revision on; 0: from now on.")] = 0,
    prev: Annotated[bool, typer.Option("--prev", help="Show what was there before.")] = False,
    count: Annotated[int, typer.Option(min=0, help="End after so many events; 0: never.")] = 0,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Print changes as they happen, until Ctrl-C."""

    async def act(client: Client) -> None:
        seen = 0
        everything = prefix or (not key and range_end is None)
        stream = client.kv.watch(
            bytes_of(key), prefix=everything, range_end=end_of(range_end), start_revision=revision, prev_kv=prev
        )
        async for event in stream:
            if json_:
                body: dict[str, Any] = {
                    "event": event.kind,
                    "key": text_of(event.key),
                    "value": text_of(event.value),
                    "revision": event.revision,
                    "create_revision": event.create_revision,
                    "version": event.version,
                    "lease": event.lease,
                }
                if prev:
                    body["previous"] = described(event.previous) if event.previous else None
                as_json(body)
            else:
                say(f"{event.kind.upper()}\t{text_of(event.key)}\t{text_of(event.value)}".rstrip("\t"))
            seen += 1
            if seen == count:
                return

    run(endpoints, json_, timeout, act)


@app.command()
def txn(
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read it from here, not from standard input.")
    ] = None,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Run a transaction given as JSON; exit code 1 when the compares do not hold.

    {"compare": [{"key": "a", "target": "version", "op": "=", "value": 0}],
     "success": [{"put": {"key": "a", "value": "1"}}],
     "failure": [{"get": {"key": "a"}}]}

    Targets: version, create, mod, value, lease. Operations: put, get, delete, range (with "prefix": true or "range_end").
    """
    try:
        text = read_input() if file is None else file.read_bytes()
        compare, success, failure = _parse_txn(text)
    except OSError as error:
        fail(usage(f"the file {file} cannot be read: {error.strerror}"), json_)
    except RingleaderError as error:
        fail(error, json_)

    async def act(client: Client) -> bool:
        result = await client.kv.txn(compare=compare, success=success, failure=failure)
        if json_:
            results = [_result(each) for each in result.results]
            as_json({"revision": result.revision, "succeeded": result.succeeded, "results": results})
        else:
            say(f"{'success' if result.succeeded else 'failure'} revision {result.revision}")
            for each in result.results:
                say(json.dumps(_result(each), ensure_ascii=False))
        return result.succeeded

    if not run(endpoints, json_, timeout, act):
        raise typer.Exit(1)


def _parse_txn(text: bytes) -> tuple[list[Condition], list[Operation], list[Operation]]:
    from ringleader.store.commands import Compare

    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise usage(f"the transaction is not JSON: {error}") from None
    if not isinstance(body, dict) or set(body) - {"compare", "success", "failure"}:
        raise usage('a transaction is an object with "compare", "success" and "failure"')
    compare = []
    for item in _list(body, "compare"):
        fields = _fields(item, {"key", "target", "op", "value", "range_end"})
        target = _text(fields, "target", "value")
        value = _text(fields, "value") if target == "value" else _number(fields, "value")
        compare.append(
            Compare(
                _bytes(fields, "key"),
                target,
                _text(fields, "op", "="),
                value.encode() if isinstance(value, str) else value,
                _bytes(fields, "range_end"),
            )
        )
    return compare, _operations(body, "success"), _operations(body, "failure")


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name, [])
    if not isinstance(value, list):
        raise usage(f'"{name}" is a list')
    return value


def _fields(item: object, known: set[str]) -> dict[str, Any]:
    if not isinstance(item, dict) or set(item) - known:
        raise usage(f"{json.dumps(item)} may have the fields {', '.join(sorted(known))}")
    return item


def _text(fields: dict[str, Any], name: str, default: str = "") -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise usage(f'"{name}" is a string, not {json.dumps(value)}')
    try:
        value.encode()
    except UnicodeEncodeError:
        raise usage(f'"{name}" is no text: {json.dumps(value)} holds half a character') from None
    return value


def _bytes(fields: dict[str, Any], name: str) -> bytes:
    return _text(fields, name).encode()


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= BIGGEST:
        raise usage(f'"{name}" is a whole number from 0 to {BIGGEST}, not {json.dumps(value)}')
    return value


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise usage(f'"{name}" is true or false, not {json.dumps(value)}')
    return value


def _operations(body: dict[str, Any], name: str) -> list[Operation]:
    from ringleader import op

    made: list[Operation] = []
    for item in _list(body, name):
        if not isinstance(item, dict) or len(item) != 1:
            raise usage(f'{json.dumps(item)} is no operation: say for instance {{"put": {{"key": ..., "value": ...}}}}')
        ((kind, argument),) = item.items()
        if kind == "put":
            f = _fields(argument, {"key", "value", "lease"})
            made.append(op.put(_bytes(f, "key"), _bytes(f, "value"), lease=_number(f, "lease")))
        elif kind == "get":
            made.append(op.get(_bytes(_fields(argument, {"key"}), "key")))
        elif kind in ("delete", "range"):
            f = _fields(argument, {"key", "prefix", "range_end"})
            make = op.delete if kind == "delete" else op.range
            end = _bytes(f, "range_end") if "range_end" in f else None
            made.append(make(_bytes(f, "key"), prefix=_flag(f, "prefix"), range_end=end))
        else:
            raise usage(f'"{kind}" is no operation: put, get, delete or range')
    return made


def _result(result: PutResult | DeleteResult | RangeResult | TxnResult) -> dict[str, Any]:
    """One result of a transaction as JSON."""
    from ringleader.client import DeleteResult, RangeResult

    if isinstance(result, RangeResult):
        return {"kvs": [described(kv) for kv in result.items], "count": result.count}
    if isinstance(result, DeleteResult):
        return {"deleted": result.deleted}
    return {"revision": result.revision}


@app.command()
def compact(
    revision: Annotated[
        int, typer.Argument(metavar="REVISION", min=0, help="Forget history below it; 0: below the present one.")
    ] = 0,
    endpoints: Endpoints = None,
    timeout: Timeout = 5.0,
    json_: Json = False,
) -> None:
    """Forget history now, which gives its memory back; it also goes by itself (see ringleader settings)."""

    async def act(client: Client) -> int:
        target = revision or (await client.status()).revision
        await client.kv.compact(target)
        return target

    done = run(endpoints, json_, timeout, act)
    as_json({"compacted": done}) if json_ else say(f"compacted at revision {done}")
