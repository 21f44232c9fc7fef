"""Errors in the shapes that Azure Resource Manager gives them, and faults as responses."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

from dev.azure_simulator.behaviour import Fault
from dev.azure_simulator.cut_connection import CutConnection

_CODES = {
    400: ("BadRequest", "The request is invalid."),
    401: ("AuthenticationFailed", "Authentication failed."),
    403: ("AuthorizationFailed", "The client does not have authorization to perform this action over the scope."),
    404: ("ResourceNotFound", "The resource was not found."),
    409: ("Conflict", "The request conflicts with the state of the resource."),
    429: ("SubscriptionRequestsThrottled", "Number of requests exceeded the limit. Please try again later."),
    500: ("InternalServerError", "The server encountered an internal error."),
    502: ("BadGateway", "The gateway received an invalid response."),
    503: ("ServiceUnavailable", "The service is temporarily unavailable."),
    504: ("GatewayTimeout", "The gateway did not receive a response within the specified time period."),
}


def cloud_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in ARM's CloudError shape: `{"error": {"code", "message"}}`."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def fault_response(fault: Fault) -> Response:
    """The response that a fault puts in the place of the true one."""
    if fault.status is None:
        return CutConnection()
    if isinstance(fault.body, str):
        return Response(fault.body, fault.status, fault.headers)
    if fault.body is not None:
        return JSONResponse(fault.body, fault.status, fault.headers)
    if fault.status < 400:
        return Response(status_code=fault.status, headers=fault.headers)
    return cloud_error(fault.status, *_CODES.get(fault.status, ("Error", "A fault of the simulator.")), fault.headers)
