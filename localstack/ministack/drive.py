"""Deploys the output of `sam build` to a MiniStack on a loopback port, compares the stack with the template, and runs
the end-to-end tests there. Stops all processes that it starts. See ../README.md."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

from botocore.exceptions import ClientError

import gaps
import stack
from template import ACCOUNT, REGION, Template, clients

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
# The output of `sam build`.
BUILT = ROOT / ".aws-sam/build/template.yaml"
STACK = "erp"
# A second stack of the account: it uses the logging role of the first one, and has the optional parts that MiniStack knows.
SECOND_STACK = "erp-second"
SECOND_PARAMETERS = {
    "GatewayLogsRole": "exists", "EncryptionKey": "customer", "Bootstrap": "secret", "AlarmEmail": "on-call@example.com",
}
PASSWORD = "correct horse battery"

# Tests that MiniStack cannot run, each with the reason.
SKIPPED = {}


def step(text):
    print(f"\n== {text}", flush=True)


class Failure(Exception):
    """A failed check."""


def require(condition, text):
    if not condition:
        raise Failure(text)


@contextlib.contextmanager
def emulator(folder):
    """Runs MiniStack; it and the functions that it starts are stopped at the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
        "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0",
        # Enforce the policies of the functions and verify signatures.
        "AUTH": "true", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        # The endpoint for functions, and the seconds after which an idle environment stops.
        "AWS_ENDPOINT_URL": endpoint, "LAMBDA_WARM_TTL_SECONDS": "20",
    }
    log = open(folder / "ministack.log", "wb")
    server = subprocess.Popen(
        [sys.executable, HERE / "server.py"], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
        stderr=subprocess.STDOUT, start_new_session=True,
    )
    try:
        until(60, "MiniStack listens", lambda: server.poll() is not None or responds(f"{endpoint}/_ministack/health"))
        require(server.poll() is None, f"MiniStack ended: {(folder / 'ministack.log').read_text()}")
        yield endpoint
    finally:
        # The functions belong to its process group.
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(5)
        log.close()


def responds(url):
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


def until(seconds, description, condition):
    """Waits until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        require(time.monotonic() < deadline, f"not within {seconds} s: {description}")
        time.sleep(0.2)


def deploy(sam, endpoint, folder, parameters, name=STACK):
    """Runs `sam deploy` as for AWS, with another endpoint."""
    machine = os.uname().machine
    parameters = {"Stage": "dev", "Architecture": {"aarch64": "arm64"}.get(machine, machine), **parameters}
    environment = {
        **os.environ, "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0", "HOME": str(folder),
    }
    environment.pop("AWS_PROFILE", None)
    overrides = [f"{name}={value}" for name, value in parameters.items()]
    command = [
        sam, "deploy", "--config-env", "ministack", "--stack-name", name, "--resolve-s3", "--region", REGION,
        "--template-file", BUILT, "--capabilities", "CAPABILITY_IAM",
        "--no-confirm-changeset", "--no-progressbar", "--parameter-overrides", *overrides,
    ]
    start = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )
    require(done.returncode == 0, f"sam deploy: {done.stdout[-4000:]}")
    print(f"sam deploy {' '.join(overrides)}: {time.monotonic() - start:.0f} s")


def compare(client, name=STACK):
    """Fills the known gaps, compares the stack with the template, and returns the template."""
    template = Template(client, name)
    for gap, count in gaps.fill(client, template).items():
        print(f"  missing in MiniStack's CloudFormation and added with the service's API: {gap}, {count} times")
    counts, problems = stack.check(client, template)
    for name in sorted(counts):
        print(f"  {counts[name]:4} {name}")
    raw = (ROOT / "template.yaml").read_text()
    events = raw.count("Type: Api,")
    require(counts["routes"] >= events > 0, f"{events} routes in the template, {counts['routes']} deployed")
    require(not problems, "different from the template:\n  " + "\n  ".join(problems))
    return template


def base_url(template):
    """The id of the API and the name of its stage in the output `BaseUrl`."""
    identifier = template.outputs["BaseUrl"].removeprefix("https://").split(".")[0]
    return identifier, template.outputs["BaseUrl"].rsplit("/", 1)[-1]


class Api:
    """A client of the platform's API."""

    def __init__(self, endpoint, template):
        identifier, stage_name = base_url(template)
        self.base = f"{endpoint}/_aws/execute-api/{identifier}/{stage_name}"

    def call(self, method, path, body=None, token=None):
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def register(self, role, token=None):
        email = f"{role}-{uuid.uuid4().hex}@example.com"
        status, body = self.call("POST", "/api/auth/register", {"email": email, "password": PASSWORD, "role": role}, token)
        return status, body, email

    def log_in(self, email):
        status, body = self.call("POST", "/api/auth/login", {"email": email, "password": PASSWORD})
        require(status == 200, f"login: {body}")
        return body["data"]["access_token"]


def first_administrator(api):
    """Checks closed registration: the first user becomes `finance_manager`, and only that user registers others."""
    status, body, email = api.register("inventory_manager")
    require((status, body.get("data", {}).get("role")) == (201, "finance_manager"), f"registration of the first user: {status} {body}")
    status, body, _ = api.register("finance_manager")
    require(status in (401, 403), f"registration of another user without a token: {status} {body}")
    token = api.log_in(email)
    status, body, _ = api.register("inventory_manager", token)
    require((status, body.get("data", {}).get("role")) == (201, "inventory_manager"), f"registration by the first user: {status} {body}")
    print("  the first user is finance_manager, and only this user registers others")


def built_test():
    """Builds the end-to-end tests and returns the path of their executable. No package is selected, because Cargo would
    then choose other features of the dependencies and compile them again."""
    command = ["cargo", "test", "--locked", "--test", "e2e", "--no-run", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    require(done.returncode == 0, "cannot build the tests")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    manifest = str(ROOT / "localstack/e2e/Cargo.toml")
    return next(one["executable"] for one in messages if one.get("manifest_path") == manifest and one.get("executable"))


def end_to_end(program, api, only=()):
    """Runs the end-to-end tests against this base URL. Tests that need more than the API report so and are counted
    separately: they pass without a check here."""
    skipped = [part for test in SKIPPED for part in ("--skip", test)]
    environment = {**os.environ, "ERP_BASE_URL": api.base, "RUST_BACKTRACE": "0"}
    command = [program, "--nocapture", "--test-threads=1", *skipped, *only]
    passed = not_applicable = 0
    with subprocess.Popen(
        command, cwd=ROOT / "localstack/e2e", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in running.stdout:
            print(f"  {line}" if line.strip() else line, end="", flush=True)
            passed += line.rstrip().endswith("ok")
            not_applicable += "needs more than HTTP" in line
    require(running.returncode == 0, "the end-to-end tests failed")
    print(f"  {passed - not_applicable} tests passed, {not_applicable} need more than HTTP")


def queues(client, template):
    """The URL of each queue with a dead-letter queue, and the URL of the latter."""
    urls = {}
    for _, kind, properties in template.resources():
        if kind == "AWS::SQS::Queue" and "RedrivePolicy" in properties:
            dead = properties["RedrivePolicy"]["deadLetterTargetArn"].rsplit(":", 1)[-1]
            sqs = client("sqs")
            urls[sqs.get_queue_url(QueueName=properties["QueueName"])["QueueUrl"]] = sqs.get_queue_url(QueueName=dead)["QueueUrl"]
    return urls


def depth(client, url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def check_drained(client, template):
    """Checks that all queues and dead-letter queues are empty and all events are published."""
    for queue, dead in queues(client, template).items():
        until(120, f"{queue} is empty", lambda queue=queue: depth(client, queue) == 0)
        require(depth(client, dead) == 0, f"{dead}: {depth(client, dead)} dead letters")
    tables = [properties for _, kind, properties in template.resources() if kind == "AWS::DynamoDB::Table"]
    has_outbox = lambda table: any(index["IndexName"] == "outbox" for index in table.get("GlobalSecondaryIndexes", []))
    tables = [table["TableName"] for table in tables if has_outbox(table)]
    require(tables, "a table with an outbox")
    dynamodb = client("dynamodb")
    unpublished = lambda table: dynamodb.scan(TableName=table, IndexName="outbox", Select="COUNT")["Count"]
    for table in tables:
        until(120, f"every event of {table} was published", lambda table=table: unpublished(table) == 0)
    print("  no messages, no dead letters, no unpublished events")


def operate(endpoint, *arguments):
    """Runs the operator's program as in the README and returns its output."""
    command = ["cargo", "run", "--quiet", "--locked", "--bin", "erp", "--", "--endpoint-url", endpoint, "--stack", STACK, *arguments]
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **keys}, stdout=subprocess.PIPE, text=True)
    require(done.returncode == 0, f"erp {' '.join(arguments)}: {done.stdout}")
    return done.stdout.strip()


def reconcile(client, endpoint):
    """Reconciles the ledger after the tests, with the function of the schedule and with the operator's program."""
    response = client("lambda").invoke(FunctionName=f"{STACK}-reconcile", Qualifier="live", Payload=b'{"start_pass": true}')
    found = json.load(response["Payload"])
    require(found.get("complete") and found["mismatches"] == 0, f"reconciliation: {found}")
    print(f"  the function reconcile: {found['items']} items, {found['movements']} movements, no mismatch")
    print(f"  erp reconcile: {operate(endpoint, 'reconcile').replace(chr(10), ' ')}")


def check_permissions(client, template):
    """Checks that a function's role has only the permissions of its policy; otherwise the tests could not detect a
    missing one."""
    role = f"arn:aws:iam::{ACCOUNT}:role/{template.names['ContactQueryFunctionRole']}"
    given = client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    keys = [given[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    dynamodb = clients(client("sts").meta.endpoint_url, keys)("dynamodb")
    key = {"pk": {"S": "none"}, "sk": {"S": "none"}}
    dynamodb.get_item(TableName=template.names["ContactTable"], Key=key)
    for forbidden in (
        lambda: dynamodb.put_item(TableName=template.names["ContactTable"], Item=key),
        lambda: dynamodb.get_item(TableName=template.names["SalesTable"], Key=key),
    ):
        try:
            forbidden()
        except ClientError as error:
            require(error.response["Error"]["Code"] == "AccessDeniedException", f"a forbidden call: {error}")
        else:
            raise Failure("a role was allowed a call without the permission")
    print("  a role is denied calls without the permission")


def check_poison_messages(client, template, program, api):
    """Checks that malformed messages move to the dead-letter queues while orders are processed."""
    sqs = client("sqs")
    poison = ["malformed", "{}", '{"type":"sales.order.confirmed"}']
    of_queue = queues(client, template)
    for queue in of_queue:
        for body in poison:
            sqs.send_message(QueueUrl=queue, MessageBody=body)
    end_to_end(program, api, ["the_walkthrough_succeeds", "--exact"])
    for queue, dead in of_queue.items():
        until(180, f"{dead} has the poison messages", lambda dead=dead: depth(client, dead) == len(poison))
        require(depth(client, queue) == 0, f"{queue} is not empty")
        # Received without a visibility timeout, because `/health` counts visible messages.
        received = sqs.receive_message(
            QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
        )["Messages"]
        require({message["Body"] for message in received} <= set(poison), f"{dead}: {received}")
        reasons = [message["MessageAttributes"]["dead-letter-reason"]["StringValue"] for message in received]
        require(all(reason.startswith("not an event: ") for reason in reasons), f"{dead}: {reasons}")
    until(20, "/health reports dead letters", lambda: api.call("GET", "/health")[1]["status"] == "degraded")
    print(f"  {len(poison)} poison messages in each of {len(of_queue)} dead-letter queues, reported by /health")


def discard_poison_messages(client, template, endpoint, folder):
    """Discards the dead letters with the operator's program."""
    print("  " + operate(endpoint, "dlq", "list").replace("\n", "\n  "))
    operate(endpoint, "dlq", "discard", "--all", "--save", str(folder / "discarded.jsonl"), "--yes")
    for dead in queues(client, template).values():
        require(depth(client, dead) == 0, f"{dead} is not empty")
    print("  discarded by erp dlq")


def run(sam, folder):
    step("build of the end-to-end tests")
    program = built_test()
    with emulator(folder) as endpoint:
        client = clients(endpoint)
        print(f"MiniStack on {endpoint}, account {ACCOUNT}")
        step("sam deploy with the default parameters of AWS")
        deploy(sam, endpoint, folder, {})
        template = compare(client)
        check_permissions(client, template)
        first_administrator(Api(endpoint, template))
        step("sam deploy of a second stack")
        deploy(sam, endpoint, folder, SECOND_PARAMETERS, SECOND_STACK)
        compare(client, SECOND_STACK)
        step("sam deploy with open registration for the tests")
        deploy(sam, endpoint, folder, {"Registration": "open", "ResetTokens": "expose"})
        template = compare(client)
        api = Api(endpoint, template)
        step(f"end-to-end tests at {api.base}")
        for test, reason in SKIPPED.items():
            print(f"  skipped: {test}: {reason}")
        end_to_end(program, api)
        check_drained(client, template)
        reconcile(client, endpoint)
        step("poison messages")
        check_poison_messages(client, template, program, api)
        discard_poison_messages(client, template, endpoint, folder)


def main():
    # Raises an exception, so that all processes are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    sam = sys.argv[1]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ministack-"))
    start = time.monotonic()
    try:
        run(sam, folder)
    except BaseException as failure:  # Any failure: keep the log of MiniStack.
        kept = ROOT / "target/ministack.log"
        if (folder / "ministack.log").exists():
            shutil.copy(folder / "ministack.log", kept)
            print(f"\nMiniStack's log: {kept}")
        if isinstance(failure, Failure):
            sys.exit(f"failed: {failure}")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\ndeployed, compared and tested in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
