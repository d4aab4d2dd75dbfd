"""A SageMaker endpoint whose container is Text Generation Inference, to attach to; `pip install 'vramp[sagemaker]'`.

`base_url` is that of the runtime, e.g. "https://runtime.sagemaker.eu-central-1.amazonaws.com", `model` the name of the
endpoint.
Each request is signed (SigV4) by botocore, with the credentials of the environment: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. TGI's events come within frames of Amazon's, whose borders are not theirs. The
runtime tells nothing of itself: no models, no metrics, no health.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from tui.core.outcome import Outcome
from tui.engines.base import RequestShape, Wish
from tui.engines.engine import Engine
from tui.engines.parts import tgi_stream
from tui.engines.parts.auth import Auth
from tui.engines.parts.dialect import Dialect, Ending
from tui.engines.parts.framing import AwsEventStream
from tui.engines.tgi import native_shape

if TYPE_CHECKING:
    from tui.profile.schema import Profile

KEY_ID, KEY, _SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_SIGNER = "tui.engines.parts.sigv4:sign"
"""Its module imports botocore: in the workers that sign, before their first request, and nowhere else."""
_REGION_OF_HOST = re.compile(r"//runtime(?:-fips)?\.sagemaker\.([a-z0-9-]{1,40})\.")
# It stands in X-Amzn-SageMaker-Accept, which the runtime hands on to the container as Accept.
_HEADERS = (("Content-Type", "application/json"), ("X-Amzn-SageMaker-Accept", "text/event-stream"))


def outcome_of(status: int | None, text: str) -> Outcome:
    """Return what an error means, in the words of the runtime and of the TGI behind it."""
    found = tgi_stream.outcome_of(status, text)
    if found is Outcome.HTTP_ERROR:
        if "ThrottlingException" in text or "Rate exceeded" in text:
            return Outcome.OVERLOADED
        if "ModelInvocationTimeExceeded" in text:
            return Outcome.TIMEOUT
        if "ModelStreamError" in text or "InternalStreamFailure" in text:
            return Outcome.DISCONNECTED
    return found


DIALECT = Dialect(
    tgi_stream.decode,
    text_of=tgi_stream.text_of,
    usual=tgi_stream.USUAL,
    framing=AwsEventStream,
    media_types=(b"application/vnd.amazon.eventstream",),
    ending=Ending.FINAL_EVENT,
    end="TGI's last event",
    outcome_of=outcome_of,
)


def signing(region: str) -> Auth:
    """Return that each request is signed for a region, with the credentials of the environment."""
    return Auth(
        signer=_SIGNER,
        settings={"service": "sagemaker", "region": region},
        signer_variables=[KEY_ID, KEY, *([_SESSION] if os.environ.get(_SESSION) else [])],
        signer_package="botocore",
    )


class SageMakerEngine(Engine):
    """An endpoint of SageMaker."""

    name = "sagemaker"
    title = "SageMaker with TGI"
    endpoints = ("completions",)

    def auth(self, profile: Profile) -> Auth:
        """Return that each request is signed, for the region of the address, or else of the environment."""
        plain = super().auth(profile)
        url = profile.attach.base_url if profile.attach is not None else ""
        host = _REGION_OF_HOST.search(url)
        region = host[1] if host else os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
        return msgspec.structs.replace(signing(region), secret_headers=plain.secret_headers, headers=plain.headers)

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a request for at most so many tokens, in TGI's own shape."""
        return native_shape(
            wish,
            path=f"/endpoints/{quote(wish.model, safe='')}/invocations-response-stream",
            headers=_HEADERS,
            dialect=f"{__name__}:DIALECT",
        )


ENGINE = SageMakerEngine()
