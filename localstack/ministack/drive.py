"""Deploys what `sam build` made into a MiniStack on a loopback port, compares the stack with the template, and tests
the platform there. Ends what it started. See ../README.md."""

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
# What `sam build` made.
BUILT = ROOT / ".aws-sam/build/template.yaml"
STACK = "erp"
PASSWORD = "correct horse battery"

# Tests whose subject is not the platform but what MiniStack does in AWS's place, and why each is left out there.
LEFT_OUT = {}


def step(text):
    print(f"\n== {text}", flush=True)


class Failure(Exception):
    """What should be so and is not."""


def must(so, text):
    if not so:
        raise Failure(text)


@contextlib.contextmanager
def emulator(folder):
    """A running MiniStack, and every function that it has started; all of it ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
        "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0",
        # The functions' policies are enforced, and signatures are checked.
        "AUTH": "true", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        # What functions are told; an idle environment goes after so many seconds.
        "AWS_ENDPOINT_URL": endpoint, "LAMBDA_WARM_TTL_SECONDS": "20",
    }
    log = open(folder / "ministack.log", "wb")
    server = subprocess.Popen(
        [sys.executable, HERE / "server.py"], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
        stderr=subprocess.STDOUT, start_new_session=True,
    )
    try:
        until(60, "MiniStack listens", lambda: server.poll() is not None or answers(f"{endpoint}/_ministack/health"))
        must(server.poll() is None, f"MiniStack ended: {(folder / 'ministack.log').read_text()}")
        yield endpoint
    finally:
        # The functions are in its process group.
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(5)
        log.close()


def answers(url):
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


def until(seconds, what, so):
    """Waits until it is so."""
    deadline = time.monotonic() + seconds
    while not so():
        must(time.monotonic() < deadline, f"not within {seconds} s: {what}")
        time.sleep(0.2)


def deploy(sam, endpoint, folder, parameters):
    """`sam deploy`, as for AWS but for the endpoint."""
    machine = os.uname().machine
    parameters = {"Stage": "dev", "Architecture": {"aarch64": "arm64"}.get(machine, machine), **parameters}
    environment = {
        **os.environ, "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0", "HOME": str(folder),
    }
    environment.pop("AWS_PROFILE", None)
    overrides = [f"{name}={value}" for name, value in parameters.items()]
    command = [
        sam, "deploy", "--config-env", "ministack", "--stack-name", STACK, "--resolve-s3", "--region", REGION,
        "--template-file", BUILT, "--capabilities", "CAPABILITY_IAM",
        "--no-confirm-changeset", "--no-progressbar", "--parameter-overrides", *overrides,
    ]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )
    must(done.returncode == 0, f"sam deploy: {done.stdout[-4000:]}")
    print(f"sam deploy {' '.join(overrides)}: {time.monotonic() - began:.0f} s")


def compare(client):
    """The deployed template, once everything in it was found."""
    template = Template(client, STACK)
    for what, count in gaps.fill(client, template).items():
        print(f"  left out by MiniStack and added through the service's API: {what}, {count} times")
    counts, problems = stack.check(client, template)
    for name in sorted(counts):
        print(f"  {counts[name]:4} {name}")
    raw = (ROOT / "template.yaml").read_text()
    events = raw.count("Type: Api,")
    must(counts["routes"] >= events > 0, f"{events} routes in the template, {counts['routes']} deployed")
    must(not problems, "not as in the template:\n  " + "\n  ".join(problems))
    return template


def base_url(template):
    """The path that MiniStack serves for the host name in the output `BaseUrl`."""
    identifier = template.outputs["BaseUrl"].removeprefix("https://").split(".")[0]
    return identifier, template.outputs["BaseUrl"].rsplit("/", 1)[-1]


class Api:
    """The platform over HTTP, for the few calls that are made from here."""

    def __init__(self, endpoint, template):
        identifier, stage_name = base_url(template)
        self.base = f"{endpoint}/_aws/execute-api/{identifier}/{stage_name}"

    def call(self, method, path, body=None, token=None):
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def register(self, role, token=None):
        email = f"{role}-{uuid.uuid4().hex}@example.com"
        status, answer = self.call("POST", "/api/auth/register", {"email": email, "password": PASSWORD, "role": role}, token)
        return status, answer, email

    def log_in(self, email):
        status, answer = self.call("POST", "/api/auth/login", {"email": email, "password": PASSWORD})
        must(status == 200, f"login: {answer}")
        return answer["data"]["access_token"]


def first_administrator(api):
    """As the README says: the first user of a closed platform, whatever they ask for, and nobody after them alone."""
    status, answer, email = api.register("inventory_manager")
    must((status, answer.get("data", {}).get("role")) == (201, "finance_manager"), f"the first user: {status} {answer}")
    status, answer, _ = api.register("finance_manager")
    must(status in (401, 403), f"another user by themselves: {status} {answer}")
    token = api.log_in(email)
    status, answer, _ = api.register("inventory_manager", token)
    must((status, answer.get("data", {}).get("role")) == (201, "inventory_manager"), f"by the first: {status} {answer}")
    print("  the first user is finance_manager, nobody else registers alone, and the first registers others")


def built_test():
    """The end-to-end test's program. It is built with all other tests, because for a package alone Cargo chooses other
    features of the dependencies and compiles them again."""
    command = ["cargo", "test", "--locked", "--test", "it", "--no-run", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    must(done.returncode == 0, "the tests cannot be built")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    manifest = str(ROOT / "localstack/e2e/Cargo.toml")
    return next(one["executable"] for one in messages if one.get("manifest_path") == manifest and one.get("executable"))


def end_to_end(program, api, only=()):
    """The end-to-end test at this base URL. Tests that look behind the API say that they are left out, and are counted
    apart: they pass without having tested anything here."""
    skipped = [part for test in LEFT_OUT for part in ("--skip", test)]
    environment = {**os.environ, "ERP_BASE_URL": api.base, "RUST_BACKTRACE": "0"}
    command = [program, "--nocapture", "--test-threads=1", *skipped, *only]
    passed = elsewhere = 0
    with subprocess.Popen(
        command, cwd=ROOT / "localstack/e2e", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in running.stdout:
            print(f"  {line}" if line.strip() else line, end="", flush=True)
            passed += line.rstrip().endswith("ok")
            elsewhere += "needs more than HTTP" in line
    must(running.returncode == 0, "the end-to-end test failed")
    print(f"  {passed - elsewhere} tests passed here, {elsewhere} need more than HTTP")


def queues(client, template):
    """Each queue that gives up on messages, with its dead-letter queue."""
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


def nothing_is_left(client, template):
    """After the test: no message waits or was given up, and every event was published."""
    for queue, dead in queues(client, template).items():
        until(120, f"{queue} is empty", lambda queue=queue: depth(client, queue) == 0)
        must(depth(client, dead) == 0, f"{dead}: {depth(client, dead)} messages were given up")
    tables = [properties["TableName"] for _, kind, properties in template.resources() if kind == "AWS::DynamoDB::Table"]
    dynamodb = client("dynamodb")
    unpublished = lambda table: dynamodb.scan(TableName=table, IndexName="outbox", Select="COUNT")["Count"]
    for table in tables:
        until(120, f"every event of {table} was published", lambda table=table: unpublished(table) == 0)
    print("  no message is left or given up, no event unpublished")


def operate(endpoint, *arguments):
    """The operator's program, as the README has it; what it says."""
    command = ["cargo", "run", "--quiet", "--locked", "--bin", "erp", "--", "--endpoint-url", endpoint, "--stack", STACK, *arguments]
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **keys}, stdout=subprocess.PIPE, text=True)
    must(done.returncode == 0, f"erp {' '.join(arguments)}: {done.stdout}")
    return done.stdout.strip()


def books_agree(client, endpoint):
    """The check that runs every hour, over what the test left; and the same by the operator's program."""
    answer = client("lambda").invoke(FunctionName=f"{STACK}-reconcile", Qualifier="live", Payload=b"{}")
    found = json.load(answer["Payload"])
    must(found.get("complete") and found["mismatches"] == 0, f"the books do not agree: {found}")
    print(f"  the function reconcile: {found['items']} items, {found['movements']} movements, no mismatch")
    print(f"  erp reconcile: {operate(endpoint, 'reconcile').replace(chr(10), ' ')}")


def rights_are_enforced(client, template):
    """A function's role may what its policy says and nothing else: or the test would not miss a right."""
    role = f"arn:aws:iam::{ACCOUNT}:role/{template.names['ContactQueryFunctionRole']}"
    given = client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    keys = [given[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    dynamodb = clients(client("sts").meta.endpoint_url, keys)("dynamodb")
    key = {"pk": {"S": "nobody"}, "sk": {"S": "nobody"}}
    dynamodb.get_item(TableName=template.names["ContactTable"], Key=key)
    for forbidden in (
        lambda: dynamodb.put_item(TableName=template.names["ContactTable"], Item=key),
        lambda: dynamodb.get_item(TableName=template.names["SalesTable"], Key=key),
    ):
        try:
            forbidden()
        except ClientError as refusal:
            must(refusal.response["Error"]["Code"] == "AccessDeniedException", f"a forbidden call: {refusal}")
        else:
            raise Failure("a role did what its policy does not let it do")
    print("  a role is refused what its policy does not name")


def poison_is_given_up(client, template, program, api):
    """Nonsense in each queue ends in its dead-letter queue, while the orders go on."""
    sqs = client("sqs")
    poison = ["nonsense", "{}", '{"type":"sales.order.confirmed"}']
    of_queue = queues(client, template)
    for queue in of_queue:
        # Ten receipts at three minutes each would take half an hour: the one setting that is not the template's.
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
        for body in poison:
            sqs.send_message(QueueUrl=queue, MessageBody=body)
    end_to_end(program, api, ["the_walk_that_must_work_works", "--exact"])
    for queue, dead in of_queue.items():
        until(180, f"{dead} holds the poison", lambda dead=dead: depth(client, dead) == len(poison))
        must(depth(client, queue) == 0, f"{queue} is not empty")
        # Read without being hidden from others: `/health` counts what can be seen.
        received = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
        must({message["Body"] for message in received} <= set(poison), f"{dead}: {received}")
    until(20, "/health tells of dead letters", lambda: api.call("GET", "/health")[1]["status"] == "degraded")
    print(f"  {len(poison)} poisonous messages in each of {len(of_queue)} dead-letter queues, and /health says so")


def poison_is_discarded(client, template, endpoint, folder):
    """By the operator's program."""
    print("  " + operate(endpoint, "dlq", "list").replace("\n", "\n  "))
    operate(endpoint, "dlq", "discard", "--all", "--save", str(folder / "discarded.jsonl"), "--yes")
    for dead in queues(client, template).values():
        must(depth(client, dead) == 0, f"{dead} is not empty")
    print("  discarded by erp dlq")


def run(sam, folder):
    step("the end-to-end test, built")
    program = built_test()
    with emulator(folder) as endpoint:
        client = clients(endpoint)
        print(f"MiniStack on {endpoint}, account {ACCOUNT}")
        step("sam deploy, with the parameters that AWS gets by default")
        deploy(sam, endpoint, folder, {})
        template = compare(client)
        rights_are_enforced(client, template)
        first_administrator(Api(endpoint, template))
        step("sam deploy again, open for the test")
        deploy(sam, endpoint, folder, {"Registration": "open", "ResetTokens": "expose"})
        template = compare(client)
        api = Api(endpoint, template)
        step(f"the end-to-end test at {api.base}")
        for test, reason in LEFT_OUT.items():
            print(f"  left out: {test}: {reason}")
        end_to_end(program, api)
        nothing_is_left(client, template)
        books_agree(client, endpoint)
        step("poison")
        poison_is_given_up(client, template, program, api)
        poison_is_discarded(client, template, endpoint, folder)


def main():
    # As an exception, so that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    sam = sys.argv[1]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ministack-"))
    began = time.monotonic()
    try:
        run(sam, folder)
    except BaseException as failure:  # Whatever it was, the emulator's log says more.
        kept = ROOT / "target/ministack.log"
        if (folder / "ministack.log").exists():
            shutil.copy(folder / "ministack.log", kept)
            print(f"\nMiniStack's log: {kept}")
        if isinstance(failure, Failure):
            sys.exit(f"failed: {failure}")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\ndeployed, compared and tested in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
