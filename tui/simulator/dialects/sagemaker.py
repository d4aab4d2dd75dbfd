"""A SageMaker endpoint whose container is TGI: its events in Amazon's frames, the runtime's own errors beside them.

Signatures are checked where botocore is installed and the environment has keys; else the log says why they are not. The
runtime tells nothing of itself. Frames do not end where events do (recorded with boto3).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from zlib import crc32

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from tui.engines.sagemaker import signing
from tui.profile.simulator_table import FailOnPurpose
from tui.simulator.dialect import Aftermath, Served, ServedDialect, Way, Writer, json_response, sse
from tui.simulator.dialects import sagemaker_signature, tgi
from tui.simulator.dialects.sagemaker_signature import Forbidden
from tui.simulator.dialects.tgi import TgiLog, TgiWay, TgiWriter
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.requests import GenerationRequest, Refused

_STREAM = b"application/vnd.amazon.eventstream"
_STRING = b"\x07"
_HEADERS = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
}
_CUT = 21


def frame(payload: bytes) -> bytes:
    """Return a frame: two lengths, their CRC, headers, the payload, the CRC of all."""
    block = b"".join(
        bytes([len(name)]) + name.encode() + _STRING + struct.pack(">H", len(value)) + value.encode()
        for name, value in _HEADERS.items()
    )
    head = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    head += struct.pack(">I", crc32(head))
    whole = head + block + payload
    return whole + struct.pack(">I", crc32(whole))


def _in_frames(event: bytes) -> bytes:
    return frame(event[:_CUT]) + frame(event[_CUT:])


class _FramedWriter(TgiWriter):
    def event(self, tokens: tuple[int, ...], generated: int, *, first: bool, last: bool) -> bytes:
        """Return TGI's event in two frames whose border is not its own."""
        return _in_frames(super().event(tokens, generated, first=first, last=last))

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return TGI's error in frames."""
        return [_in_frames(part) for part in super().broken(cause)]


class _EndpointWay(TgiWay):
    path = "/endpoints/{name:path}/invocations-response-stream"
    media_type = _STREAM

    def __init__(self, served: Served) -> None:
        super().__init__(served)
        self._checks = not signing("").lacks_to_sign()

    def admit(self, scope: Scope, body: bytes) -> None:
        """Let in who signs with the keys of this server's environment."""
        if self._checks:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            sagemaker_signature.check(scope["method"], scope["raw_path"], headers, body)

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what is asked for. Raises Refused."""
        name = path.removeprefix("/endpoints/").rpartition("/")[0]
        if name != self.served.model:
            raise Refused(400, f"Endpoint {name} of account 000000000000 not found.", kind="ValidationError")
        return super().accept(body, path)

    def writer(self, request: GenerationRequest) -> Writer:
        """Return what writes the stream of an answer."""
        return _FramedWriter(request)

    def refusal(self, refused: Refused) -> Response:
        """Return what TGI refuses within a 200, and what the runtime refuses with a status."""
        if isinstance(refused, Forbidden):
            response = json_response({"message": str(refused)}, refused.status)
            response.headers["x-amzn-errortype"] = refused.kind
            return response
        if refused.status not in (422, 503):
            return json_response({"Message": str(refused)}, refused.status)
        return _within(*tgi.refusal_of(refused))

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return TGI's error within a 200."""
        return _within(*tgi.death_of(cause))


def _within(text: str, kind: str) -> Response:
    return Response(_in_frames(sse(tgi.error_json(text, kind))), headers={"content-type": _STREAM.decode()})


class SageMakerLog(TgiLog):
    """Its container's log, and whether signatures are checked."""

    def banner(self, model: str, host: str, port: int, arguments: Mapping[str, object]) -> None:
        """Say who this is."""
        super().banner(model, host, port, arguments)
        lacks = signing("").lacks_to_sign()
        checked = f"are not checked: {lacks}" if lacks else "are checked, by the keys of the environment"
        self.raw(f"signatures {checked} (SIMULATED)")


class SageMakerDialect(ServedDialect):
    """An endpoint, which starts another container when its container ends."""

    aftermath = Aftermath.COMES_BACK
    comes_back_after_s = 20.0

    def log(self, cards: int) -> ServerLog:
        """Return what writes its container's log."""
        return SageMakerLog(cards)

    def ways(self) -> Sequence[Way]:
        """Return the one way to ask."""
        return (_EndpointWay(self.served),)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return nothing."""
        return ()

    def not_found(self, detail: str) -> Response:
        """Return the runtime's answer to what it does not know."""
        return Response(b"<UnknownOperationException/>\n", 404, media_type="application/xml")


DIALECT = SageMakerDialect
