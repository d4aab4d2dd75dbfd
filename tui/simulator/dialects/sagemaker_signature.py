"""Amazon's Signature Version 4, as its services look at it: by botocore's own arithmetic, in their own words.

https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tui.core.secret_value import secret_of
from tui.engines.sagemaker import KEY, KEY_ID
from tui.simulator.requests import Refused

_STALE = timedelta(minutes=5)
_STAMP = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key_id>[^/\s]{1,128})/(?P<day>\d{8})/(?P<region>[a-z0-9-]{1,40})"
    r"/(?P<service>[a-z0-9-]{1,40})/aws4_request, ?SignedHeaders=(?P<names>[a-z0-9;-]{1,1000}), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


class Forbidden(Refused):
    """A request that does not prove who asks."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(403, message, kind=kind)


def check(method: str, target: bytes, headers: Mapping[str, str], body: bytes) -> None:
    """Raise Forbidden for a request that is not signed with the keys of the environment. It needs botocore.

    `target`: as it was asked for, with what is escaped in it; `headers`: by their names in small letters.
    """
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    stamp = headers.get("x-amz-date", "")
    if found is None or not {"host", "x-amz-date"} <= set(found["names"].split(";")):
        raise Forbidden("MissingAuthenticationTokenException", "Missing Authentication Token")
    if found["key_id"] != secret_of(KEY_ID):
        raise Forbidden("UnrecognizedClientException", "The security token included in the request is invalid.")
    _expect_fresh(stamp)
    if not hmac.compare_digest(found["signature"], _signature(found, stamp, method, target, headers, body)):
        raise Forbidden(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
        )


def _expect_fresh(stamp: str) -> None:
    now = datetime.now(UTC)
    try:
        signed = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise Forbidden(
            "IncompleteSignatureException", f"Date must be in ISO-8601 'basic format'. Got '{stamp}'."
        ) from None
    if now - signed > _STALE:
        text = f"Signature expired: {stamp} is now earlier than {now - _STALE:{_STAMP}} ({now:{_STAMP}} - 5 min.)"
        raise Forbidden("InvalidSignatureException", text)
    if signed - now > _STALE:
        text = (
            f"Signature not yet current: {stamp} is still later than {now + _STALE:{_STAMP}} ({now:{_STAMP}} + 5 min.)"
        )
        raise Forbidden("InvalidSignatureException", text)


def _signature(
    found: re.Match[str], stamp: str, method: str, target: bytes, headers: Mapping[str, str], body: bytes
) -> str:
    # Here and nowhere else, so that a server that checks nothing starts as quickly as all others.
    from botocore.auth import SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    signed = {name: headers.get(name, "") for name in found["names"].split(";")}
    url = f"http://{headers.get('host', '')}{target.decode('latin-1')}"
    request = AWSRequest(method=method, url=url, headers=signed, data=body)
    request.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(found["key_id"], secret_of(KEY) or ""), found["service"], found["region"])
    signature: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return signature
