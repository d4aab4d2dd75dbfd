"""Amazon's Signature Version 4, by botocore, which is imported with this module: that may take as long as a request."""

from __future__ import annotations

from collections.abc import Sequence

from tui.core.errors import UsageError
from tui.core.secret_value import secret_of

try:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError as error:
    raise ImportError("botocore is not installed: pip install 'vramp[sagemaker]'") from error

_KEY_ID, _KEY, _SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"


def sign(
    settings: dict[str, str], method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes
) -> list[tuple[str, str]]:
    """Return the headers by which AWS knows who asks, for one finished request to `settings["service"]`.

    Raises UsageError without a region, and without credentials in the environment.
    """
    if not settings.get("region"):
        raise UsageError("the region is not known: set AWS_REGION, or give the runtime's own address as base_url")
    key_id, key = secret_of(_KEY_ID), secret_of(_KEY)
    if key_id is None or key is None:
        raise UsageError(f"{_KEY_ID} and {_KEY} are not set: aws configure export-credentials --format env")
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    before = {name.lower() for name, _ in headers}
    SigV4Auth(Credentials(key_id, key, secret_of(_SESSION)), settings["service"], settings["region"]).add_auth(request)
    return [(name, value) for name, value in request.headers.items() if name.lower() not in before]
