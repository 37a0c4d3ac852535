"""MiniStack with patches for differences from AWS that the template depends on.

Each function below patches one difference, so the template needs no change. The patches are applied before MiniStack
starts and fail if a newer version no longer has the patched function.
"""

import contextvars
import functools
import json
import re
import socketserver

from hypercorn.config import Config
from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import apigateway_v1 as gateway
from ministack.services import sqs
from ministack.services.cloudformation import provisioners


def disable_nagle():
    """MiniStack writes each response of the Runtime API twice; with Nagle's algorithm the second write waits 40 ms for
    the acknowledgement of the first one, at every invocation."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


# The service authorization reference has no batch actions: a batch requires the permission of the single call.
SINGLE_CALLS = {
    "sns:PublishBatch": "sns:Publish",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}


def authorize_batches_as_single_calls():
    """With `AUTH=true` MiniStack requires `sns:PublishBatch`, which is not an action on AWS."""
    original = iam_actions.extract_iam_action

    @functools.wraps(original)
    def extract(*args, **kwargs):
        action = original(*args, **kwargs)
        return SINGLE_CALLS.get(action, action)

    iam_actions.extract_iam_action = extract


def import_all_of_openapi():
    """SAM writes the whole API to one OpenAPI document. MiniStack's import ignores its gateway responses, `ANY` methods
    and the responses of mock integrations (CORS preflight)."""
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
# The path under which MiniStack serves an API, and the path within its stage.
SERVED = re.compile("/_aws/execute-api/[^/]+/[^/]+(/.*)?")
# The headers and the path of the current request, unchanged.
SENT = contextvars.ContextVar("sent", default=([], ""))


def keep_raw_request():
    """MiniStack passes on one value per header and the decoded path."""
    handle = app.app

    @functools.wraps(handle)
    async def keep(scope, receive, send):
        if scope["type"] == "http":
            raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
            SENT.set((scope["headers"], raw_path))
        await handle(scope, receive, send)

    app.app = keep


# API Gateway's limit in bytes for the headers.
MAX_HEADER_BYTES = 10_240


def reject_long_headers():
    """MiniStack's server closes the connection at 16 KiB of headers. API Gateway has a lower limit and responds with 431."""
    Config.h11_max_incomplete_size = 4 << 20
    handle = app.app

    @functools.wraps(handle)
    async def reject(scope, receive, send):
        if scope["type"] == "http" and SERVED.fullmatch(scope["path"]):
            if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
                await send({"type": "http.response.start", "status": 431, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await handle(scope, receive, send)

    app.app = reject


def route_the_raw_path():
    """MiniStack decodes the path before routing, ignores empty segments, and passes the result to functions. A REST API
    passes the raw path, and `//api/items` matches no resource."""
    execute, match = gateway.handle_execute, gateway._match_resource_tree

    @functools.wraps(execute)
    async def handle_execute(api_id, stage_name, method, _, *others):
        return await execute(api_id, stage_name, method, raw_path_in_stage(), *others)

    @functools.wraps(match)
    def match_resource_tree(api_id, segments):
        return (None, {}) if "//" in raw_path_in_stage() else match(api_id, segments)

    gateway.handle_execute, gateway._match_resource_tree = handle_execute, match_resource_tree


def raw_path_in_stage():
    """The path within the stage, not decoded."""
    _, raw_path = SENT.get()
    return SERVED.fullmatch(raw_path).group(1) or "/"


def pass_repeated_headers():
    """A repeated header has all its values in `multiValueHeaders` and the last one in `headers`."""
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
    """MiniStack does not replace `$context.path` (stage and path) in error templates."""
    render = gateway._gateway_error_response

    @functools.wraps(render)
    def error_response(error, request):
        status, headers, body = render(error, request)
        path = f"/{request['stage_name']}{raw_path_in_stage()}"
        return status, headers, body.replace(b"$context.path", path.encode())

    gateway._gateway_error_response = error_response


def list_dead_letter_source_queues():
    """MiniStack lacks `ListDeadLetterSourceQueues`, which the operator's program needs."""

    def sources(data, url):
        named = f":{(data.get('QueueUrl') or url).rsplit('/', 1)[-1]}"
        policies = {url: queue["attributes"].get("RedrivePolicy", "{}") for url, queue in sqs._queues.items()}
        return {"queueUrls": [
            url for url, policy in policies.items() if json.loads(policy).get("deadLetterTargetArn", "").endswith(named)
        ]}

    if sqs._HANDLERS.setdefault("ListDeadLetterSourceQueues", sources) is not sources:
        raise RuntimeError("MiniStack supports ListDeadLetterSourceQueues: remove this patch")


def consider_requests_encrypted():
    """The policies of queues and topics deny requests without TLS, and MiniStack enforces them. Its endpoint here has none."""
    resolve = iam_evaluator._resolve_condition_key

    @functools.wraps(resolve)
    def resolve_key(key, context):
        return "true" if key.lower() == "aws:securetransport" else resolve(key, context)

    iam_evaluator._resolve_condition_key = resolve_key


def create_alarms_on_expressions():
    """MiniStack's CloudFormation refuses an alarm on an expression of metrics. Here it creates one without a metric, which is
    never evaluated."""
    original = provisioners._cw_metric_alarm_record

    @functools.wraps(original)
    def record(name, properties):
        if properties.get("Metrics"):
            others = {key: value for key, value in properties.items() if key != "Metrics"}
            properties = {**others, "MetricName": "expression", "Namespace": "expression"}
        return original(name, properties)

    provisioners._cw_metric_alarm_record = record


if __name__ == "__main__":
    disable_nagle()
    authorize_batches_as_single_calls()
    import_all_of_openapi()
    keep_raw_request()
    reject_long_headers()
    route_the_raw_path()
    pass_repeated_headers()
    render_context_path()
    list_dead_letter_source_queues()
    consider_requests_encrypted()
    create_alarms_on_expressions()
    app.main()
