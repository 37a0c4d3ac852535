"""MiniStack, with what it does otherwise than AWS put right where our template depends on it.

Each function below names one difference; all of them are on the emulator's side, so the template stays as it is.
They are applied before the emulator starts and fail loudly when a newer version no longer has what they replace.
"""

import contextvars
import functools
import json
import re
import socketserver

from hypercorn.config import Config
from ministack import app
from ministack.core import iam_actions
from ministack.services import apigateway_v1 as gateway
from ministack.services import sqs


def answer_at_once():
    """The Lambda Runtime API is served in two writes; with Nagle's algorithm the second waits 40 ms for the first
    one's acknowledgement, at every invocation."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


# The service authorization reference knows no batch actions: a batch asks for the permission of its single call.
SINGLE_CALLS = {
    "sns:PublishBatch": "sns:Publish",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}


def authorize_batches_as_single_calls():
    """With `AUTH=true` MiniStack asks a role for `sns:PublishBatch`, which on AWS is no action."""
    original = iam_actions.extract_iam_action

    @functools.wraps(original)
    def extract(*args, **kwargs):
        action = original(*args, **kwargs)
        return SINGLE_CALLS.get(action, action)

    iam_actions.extract_iam_action = extract


def import_what_sam_writes():
    """SAM puts the whole API into one OpenAPI document. MiniStack's import leaves out of it the gateway responses,
    the methods `ANY`, and what a mock integration (the preflight of CORS) answers."""
    import_api, import_operation = gateway._import_rest_api, gateway._import_operation
    gateway._OPENAPI_HTTP_METHODS.add(ANY_METHOD)

    @functools.wraps(import_api)
    def rest_api(spec, base_data=None):
        api_id = import_api(spec, base_data)
        for kind, response in (spec.get("x-amazon-apigateway-gateway-responses") or {}).items():
            status, _, body = gateway._put_gateway_response(api_id, kind, response)
            if status >= 400:
                raise ValueError(f"gateway response {kind}: {body!r}")
        return api_id

    @functools.wraps(import_operation)
    def operation(api_id, resource_id, http_method, described, *args):
        http_method = "ANY" if http_method.lower() == ANY_METHOD else http_method
        import_operation(api_id, resource_id, http_method, described, *args)
        integration = (described or {}).get("x-amazon-apigateway-integration") or {}
        method = gateway._resources[api_id][resource_id]["resourceMethods"][http_method]
        if integration.get("requestTemplates"):
            method["methodIntegration"]["requestTemplates"] = integration["requestTemplates"]
        for pattern, response in (integration.get("responses") or {}).items():
            pattern = "" if pattern == "default" else pattern
            gateway._put_integration_response(
                api_id, resource_id, http_method, str(response["statusCode"]), {**response, "selectionPattern": pattern}
            )

    gateway._import_rest_api, gateway._import_operation = rest_api, operation


ANY_METHOD = "x-amazon-apigateway-any-method"
# Where MiniStack serves an API whose host name nobody resolves, and the path within its stage.
SERVED = re.compile("/_aws/execute-api/[^/]+/[^/]+(/.*)?")
# The headers and the path as the client sent them.
SENT = contextvars.ContextVar("sent", default=([], ""))


def remember_what_was_sent():
    """MiniStack hands on one value per header and the decoded path."""
    handle = app.app

    @functools.wraps(handle)
    async def remember(scope, receive, send):
        if scope["type"] == "http":
            raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
            SENT.set((scope["headers"], raw_path))
        await handle(scope, receive, send)

    app.app = remember


# API Gateway's limit of request line and headers together.
HEADERS = 10_240


def refuse_long_headers():
    """MiniStack's server breaks the connection off at 16 KiB of headers. API Gateway takes less, and answers."""
    Config.h11_max_incomplete_size = 4 << 20
    handle = app.app

    @functools.wraps(handle)
    async def refuse(scope, receive, send):
        if scope["type"] == "http" and SERVED.fullmatch(scope["path"]):
            if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADERS:
                await send({"type": "http.response.start", "status": 431, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await handle(scope, receive, send)

    app.app = refuse


def route_the_path_as_sent():
    """MiniStack decodes the path before it looks for the resource, forgives empty segments, and tells functions what
    it made of it. A REST API hands on what was sent, and `//api/items` is nothing that the API has."""
    execute, match = gateway.handle_execute, gateway._match_resource_tree

    @functools.wraps(execute)
    async def handle_execute(api_id, stage_name, method, _, *others):
        return await execute(api_id, stage_name, method, path_sent(), *others)

    @functools.wraps(match)
    def match_resource_tree(api_id, segments):
        return (None, {}) if "//" in path_sent() else match(api_id, segments)

    gateway.handle_execute, gateway._match_resource_tree = handle_execute, match_resource_tree


def path_sent():
    """The path within the stage, as the client sent it."""
    _, raw_path = SENT.get()
    return SERVED.fullmatch(raw_path).group(1) or "/"


def tell_functions_every_header():
    """A header that is sent twice reaches a function twice: in `multiValueHeaders`, and in `headers` the last."""
    build = gateway._build_lambda_event_v1

    @functools.wraps(build)
    def event(*args, **kwargs):
        built = build(*args, **kwargs)
        headers, _ = SENT.get()
        for name in built["multiValueHeaders"] or {}:
            values = [value.decode("latin-1") for sent, value in headers if sent.decode("latin-1").lower() == name]
            if len(values) > 1 and name != "cookie":
                built["multiValueHeaders"][name] = values
                built["headers"][name] = values[-1]
        return built

    gateway._build_lambda_event_v1 = event


def render_context_path():
    """`$context.path`, the stage and the path, stays as it is written in MiniStack's error templates."""
    render = gateway._gateway_error_response

    @functools.wraps(render)
    def error_response(error, request):
        status, headers, body = render(error, request)
        path = f"/{request['stage_name']}{path_sent()}"
        return status, headers, body.replace(b"$context.path", path.encode())

    gateway._gateway_error_response = error_response


def list_queues_of_a_dead_letter_queue():
    """`ListDeadLetterSourceQueues` is not there; the operator's program asks it whose dead letters a queue holds."""

    def sources(data, url):
        named = f":{(data.get('QueueUrl') or url).rsplit('/', 1)[-1]}"
        policies = {url: queue["attributes"].get("RedrivePolicy", "{}") for url, queue in sqs._queues.items()}
        return {"queueUrls": [
            url for url, policy in policies.items() if json.loads(policy).get("deadLetterTargetArn", "").endswith(named)
        ]}

    if sqs._HANDLERS.setdefault("ListDeadLetterSourceQueues", sources) is not sources:
        raise RuntimeError("MiniStack has ListDeadLetterSourceQueues by now")


if __name__ == "__main__":
    answer_at_once()
    authorize_batches_as_single_calls()
    import_what_sam_writes()
    remember_what_was_sent()
    refuse_long_headers()
    route_the_path_as_sent()
    tell_functions_every_header()
    render_context_path()
    list_queues_of_a_dead_letter_queue()
    app.main()
