//! The samples in `events/`: each is sent to its function - the real binary, with the permissions of the
//! template, over real tables, queues and topics - and the outcome is compared with the expected one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::primitives::Blob;
use erp_auth::{Keyring, Tokens};
use erp_aws::Table;
use erp_domain::identity::{Caller, Role};
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, EmailAddress, Ids};
use erp_local::arn;
use erp_local::deployment::{REGION, TriggerSource};
use erp_local::platform::{Options, Platform};
use serde_json::{Value, json};

use crate::assert_none;
use crate::function_executables;
use crate::permissions::{runtime_permissions, short};
use crate::runtime_interface_emulator::RuntimeInterfaceEmulator;
use crate::sample_data;
use crate::template::{STACK, Template, lambda_client, workspace};

pub(crate) mod checks {
    crate::template_checks::register!(every_function_and_every_trigger_has_a_sample);
}

/// The expected outcome of a sample.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// An HTTP response with this status, and optionally with this text at a JSON pointer into the body.
    Http(u16, Option<(&'static str, &'static str)>),
    /// A result with this JSON value at a JSON pointer.
    Result(&'static str, &'static str),
    /// An error with this message.
    Error(&'static str),
}

use Expected::{Error, Http, Result};

/// A success with its message.
const fn success(status: u16, message: &'static str) -> Expected {
    Http(status, Some(("/message", message)))
}

/// A problem with its code.
const fn problem(status: u16, code: &'static str) -> Expected {
    Http(status, Some(("/code", code)))
}

/// A batch of which every message or record was processed.
const NO_FAILURES: Expected = Result("/batchItemFailures", "[]");

/// The samples with their expected outcomes, in the order in which they are sent: some depend on earlier
/// ones.
const SAMPLES: &[(&str, Expected)] = &[
    ("auth-api.register", success(201, "User registered successfully")),
    ("auth-api.login", success(200, "Login successful")),
    ("auth-api.forgot-password", success(200, "Password reset requested successfully")),
    ("auth-api.reset-password", problem(400, "validation_failed")),
    ("auth-api.service-token", success(200, "Service token issued successfully")),
    ("authorizer.token", Result("/context/role", "\"finance_manager\"")),
    ("authorizer.expired-token", Error("Unauthorized")),
    ("contact-api.create-customer", success(201, "Customer created successfully")),
    ("contact-api.list-vendors", Http(200, Some(("/data/1/name", "Northern Laptops")))),
    ("contact-api.update-customer", success(200, "Customer updated successfully")),
    ("contact-query.customer", Result("", r#"{"exists":true}"#)),
    ("inventory-api.create-item", success(201, "Item created successfully")),
    ("inventory-api.list-items", success(200, "Items retrieved successfully")),
    ("inventory-api.list-movements", Http(200, Some(("/data/0/kind", "adjusted")))),
    ("inventory-query.items", Result("/items/0/quantity", "50")),
    ("inventory-api.change-stock", success(200, "Stock updated successfully")),
    ("inventory-worker.purchase-received", NO_FAILURES),
    ("inventory-worker.sales-confirmed", NO_FAILURES),
    ("inventory-worker.order-allocated", NO_FAILURES),
    ("inventory-worker.sales-cancelled", NO_FAILURES),
    ("inventory-worker.stock-adjusted", NO_FAILURES),
    ("inventory-worker.backorders-remaining", NO_FAILURES),
    // Before the poison messages, which are in the dead-letter queues afterwards.
    ("portal.health", success(200, "Gateway is healthy")),
    ("inventory-worker.poison", NO_FAILURES),
    ("sales-api.create", success(201, "Sales order created successfully")),
    ("sales-api.list", success(200, "Sales orders retrieved successfully")),
    ("sales-api.list-drafts", Http(200, Some(("/data/0/status", "draft")))),
    ("sales-api.list-of-customer", Http(200, Some(("/data/0/currency", "USD")))),
    ("sales-api.confirm", Http(200, Some(("/data/order/status", "confirmed")))),
    ("sales-api.pay-not-allowed", problem(403, "forbidden")),
    ("sales-api.no-caller", problem(401, "unauthorized")),
    ("sales-api.pay", Http(200, Some(("/data/order/status", "paid")))),
    ("sales-api.cancel-too-late", problem(409, "illegal_transition")),
    ("sales-api.history", Http(200, Some(("/data/0/type", "sales.order.confirmed")))),
    ("sales-worker.order-allocated", NO_FAILURES),
    ("sales-worker.poison", NO_FAILURES),
    ("purchase-api.create", success(201, "Purchase order created successfully")),
    ("purchase-api.create-unknown", Http(400, Some(("/errors/1/pointer", "/items/0/item_id")))),
    ("purchase-api.list", Http(200, Some(("/data/0/status", "draft")))),
    ("purchase-api.list-all", success(200, "Purchase orders retrieved successfully")),
    ("purchase-api.list-received", Http(200, Some(("/data/0/status", "received")))),
    ("purchase-api.receive", Http(200, Some(("/data/order/status", "received")))),
    ("purchase-api.history", Http(200, Some(("/data/0/type", "purchase.order.received")))),
    ("relay.auth-stream", NO_FAILURES),
    ("relay.contact-stream", NO_FAILURES),
    ("relay.inventory-stream", NO_FAILURES),
    ("relay.sales-stream", NO_FAILURES),
    ("relay.purchase-stream", NO_FAILURES),
    ("relay-sweep.schedule", Result("/complete", "true")),
    ("reconcile-changes.inventory-stream", NO_FAILURES),
    ("reconcile-changes.sales-stream", NO_FAILURES),
    ("reconcile-changes.purchase-stream", NO_FAILURES),
    ("reconcile.schedule", Result("/mismatches", "0")),
    ("portal.openapi", Http(200, Some(("/openapi", "3.1.0")))),
    ("portal.swagger", Http(200, None)),
    ("portal.wrong-verb", problem(405, "method_not_allowed")),
    ("inventory-api.delete-item", success(200, "Item deleted successfully")),
    ("contact-api.delete-vendor", success(200, "Vendor deleted successfully")),
];

/// The signing key of the tokens in the samples, and the secret of the service in the samples.
pub(crate) const SECRETS: [(&str, &str); 2] = [
    (
        "erp-JwtKeys",
        r#"{"kid":"sample","key":"sample-key-that-protects-nothing-0123456789abcdef0123456789abcdef"}"#,
    ),
    ("erp-ServiceCredentials", r#"{"integration":"sample-secret-that-protects-nothing-0123456789abc"}"#),
];

/// The value of the parameter `AllowOrigin`: not its default, so that a response shows that it is used.
const ORIGIN: &str = "https://shop.example.com";

/// The placeholder of a valid token: a token expires within a day, so a file cannot contain one.
const VALID_TOKEN: &str = "VALID_TOKEN";

/// Returns the events of a binary, in the order in which they are sent.
pub(crate) fn of(binary_name: &str) -> Vec<Value> {
    let names = SAMPLES.iter().map(|(name, _)| *name);
    names.filter(|name| binary(name) == binary_name).map(read).collect()
}

/// Returns the event of a sample.
pub(crate) fn read(name: &str) -> Value {
    let path = workspace().join("events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = text.replace(VALID_TOKEN, &valid_token());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Signs a token of the finance manager in the samples.
fn valid_token() -> String {
    let keyring = Keyring::from_json(SECRETS[0].1).unwrap();
    let environment = &Template::committed().function_of_binary("authorizer").unwrap().environment;
    let tokens = Tokens::new(keyring, &environment["JWT_ISSUER"], &environment["JWT_AUDIENCE"]);
    let email = EmailAddress::parse("fay@example.com").unwrap();
    let caller = Caller::User { id: sample_data::id(0xf1), email, role: Role::FinanceManager };
    tokens.sign(&caller, RandomIds.next(), SystemClock.now()).unwrap().0
}

/// Returns the binary in the name of a sample.
fn binary(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// Returns the names of the files, without `.json`.
fn files() -> BTreeSet<String> {
    let entries = std::fs::read_dir(workspace().join("events")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect()
}

#[test]
fn every_sample_has_a_row_here_and_in_the_readme_and_every_row_a_sample() {
    let readme = std::fs::read_to_string(workspace().join("events/README.md")).unwrap();
    let rows: BTreeSet<String> = SAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files = files();
    let without_row = files.difference(&rows);
    let without_row = without_row.map(|name| format!("events/{name}.json: add its outcome to SAMPLES"));
    let without_file = rows.difference(&files).map(|name| format!("{name} is in SAMPLES and not in events/"));
    let undocumented = files.iter().filter(|name| !readme.contains(&format!("`{name}`")));
    let undocumented = undocumented.map(|name| format!("events/README.md: add a row for `{name}`"));
    assert_none(without_row.chain(without_file).chain(undocumented));
}

fn every_function_and_every_trigger_has_a_sample(template: &Template) -> Vec<String> {
    static READ: OnceLock<Vec<(&str, Value)>> = OnceLock::new();
    let samples = READ.get_or_init(|| SAMPLES.iter().map(|(name, _)| (binary(name), read(name))).collect());
    let mut violations = Vec::new();
    for function in &template.deployment.functions {
        if !samples.iter().any(|(binary, _)| *binary == function.binary) {
            violations.push(format!("add events/{}.<case>.json", function.binary));
        }
    }
    for (name, _) in SAMPLES {
        let binary = binary(name);
        if template.function_of_binary(binary).is_none() {
            violations
                .push(format!("events/{name}.json: the template has no function of the binary {binary}"));
        }
    }
    for trigger in &template.deployment.triggers {
        let expected = &template.function(&trigger.function).binary;
        let is_from_trigger = |event: &Value| {
            let source = event["Records"][0]["eventSourceARN"].as_str().unwrap_or_default();
            match &trigger.source {
                TriggerSource::Queue { queue_arn, .. } => source == queue_arn,
                TriggerSource::Stream { table, .. } => {
                    source.starts_with(&format!("{}/stream/", arn::table(table)))
                }
                TriggerSource::Schedule { .. } => event["detail-type"] == "Scheduled Event",
            }
        };
        if !samples.iter().any(|(binary, event)| binary == expected && is_from_trigger(event)) {
            violations.push(format!("add an event of the trigger {} of {expected} to events/", trigger.name));
        }
    }
    violations
}

#[test]
fn every_sample_request_matches_a_route_of_its_function() {
    let template = Template::committed();
    assert_none(SAMPLES.iter().filter_map(|(name, expected)| {
        let Http(..) = expected else { return None };
        let event = read(name);
        let (method, path) = (event["httpMethod"].as_str()?, event["resource"].as_str()?);
        let mut routes = template.deployment.api.routes.iter();
        let matches = routes.any(|route| {
            template.function(&route.function).binary == binary(name)
                && route.path == path
                && [method, "ANY"].contains(&route.method.as_str())
        });
        (!matches).then(|| format!("events/{name}.json: {} has no route {method} {path}", binary(name)))
    }));
}

/// Starts the platform with the secrets and the data of the samples.
async fn platform(data: &Path, executables: &Path) -> Platform {
    let secrets: BTreeMap<_, _> = SECRETS.into_iter().collect();
    std::fs::write(data.join("secrets.json"), json!(secrets).to_string()).unwrap();
    let parameters = [("AllowOrigin", ORIGIN), ("Registration", "open"), ("ResetTokens", "expose")];
    let options = Options {
        stack_name: STACK.to_owned(),
        parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        data: Some(data.to_owned()),
        executables: Some(executables.to_owned()),
        ..Options::new(workspace().join("template.yaml"))
    };
    let platform = Platform::start(options).await.unwrap();
    let key = platform.access_key();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new(
            &key.access_key_id,
            &key.secret_access_key,
            None,
            None,
            "test",
        ))
        .endpoint_url(platform.aws_endpoint());
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    sample_data::write(|context| Table::new(client.clone(), format!("{STACK}-{context}"))).await;
    platform
}

/// Parses the body of an HTTP response; `null` if it is not JSON, such as HTML.
fn body(payload: &Value) -> Value {
    serde_json::from_str(payload["body"].as_str().unwrap_or_default()).unwrap_or(Value::Null)
}

/// Compares the outcome of a sample; returns the difference, if there is one.
fn difference(expected: Expected, failed: bool, payload: &Value) -> Option<String> {
    let is_expected = match expected {
        Error(message) => failed && payload["errorMessage"] == message,
        Result(pointer, value) => {
            let value: Value = serde_json::from_str(value).unwrap();
            !failed && payload.pointer(pointer) == Some(&value)
        }
        Http(status, field) => {
            let headers = [&payload["headers"], &payload["multiValueHeaders"]];
            let allows_origin = headers.iter().any(|headers| {
                let origin = &headers["access-control-allow-origin"];
                *origin == ORIGIN || *origin == json!([ORIGIN])
            });
            if !allows_origin {
                return Some(format!("the response does not allow the origin of the template: {payload}"));
            }
            let body = body(payload);
            let has_field =
                field.is_none_or(|(pointer, text)| body.pointer(pointer).is_some_and(|found| found == text));
            !failed && payload["statusCode"] == status && has_field
        }
    };
    (!is_expected).then(|| format!("expected {expected:?}, found {payload}"))
}

#[tokio::test]
async fn every_sample_returns_the_expected_response() {
    let data = tempfile::tempdir().unwrap();
    let platform = platform(data.path(), function_executables::folder()).await;
    let client = lambda_client(platform.aws_endpoint(), platform.access_key());
    let mut violations = Vec::new();
    for (name, expected) in SAMPLES {
        let function = format!("{STACK}-{}", binary(name));
        let payload = Blob::new(read(name).to_string());
        let response = client.invoke().function_name(function).payload(payload).send().await.unwrap();
        let failed = response.function_error.is_some();
        let payload = serde_json::from_slice(&response.payload.unwrap().into_inner()).unwrap();
        let difference = difference(*expected, failed, &payload);
        violations.extend(difference.map(|difference| format!("events/{name}.json: {difference}")));
    }
    violations.extend(unused_permissions(&platform));
    platform.stop().await;
    assert_none(violations);
}

/// Permissions that no sample uses, with the tests that use them.
const USED_ELSEWHERE: &[(&str, &str, &str)] = &[
    ("portal", "lambda:InvokeFunction", "a request with a token; see localstack/e2e, headers"),
    (
        "auth-api",
        "dynamodb:UpdateItem",
        "password reset: a file cannot contain a valid reset token; see localstack/e2e, walkthrough",
    ),
    (
        "inventory-worker",
        "sqs:ChangeMessageVisibility",
        "a failure or a deadline; see localstack/e2e, batches",
    ),
    ("sales-worker", "sqs:ChangeMessageVisibility", "as above"),
    ("relay-sweep", "sns:Publish", "the relay publishes before the sweep runs; see functions/relay/tests"),
    ("relay-sweep", "dynamodb:UpdateItem", "as above"),
    ("reconcile", "dynamodb:BatchGetItem", "second read of a discrepancy; see functions/operator/tests"),
    ("reconcile", "dynamodb:GetItem", "as above"),
    ("reconcile", "dynamodb:Query", "as above, of movements; the sample uses the outbox indexes"),
    ("reconcile", "lambda:InvokeFunction", "continuation of a long check; see functions/operator/tests"),
];

/// Returns the permissions that the functions have and did not use: least privilege. A missing permission
/// makes a sample fail.
fn unused_permissions(platform: &Platform) -> Vec<String> {
    let mut violations = Vec::new();
    for function in &platform.deployment().functions {
        let used = platform.iam().used(&function.logical_id);
        let of_lambda = runtime_permissions(Template::committed(), function);
        for statement in &function.statements {
            for (action, resource) in statement
                .actions
                .iter()
                .flat_map(|action| statement.resources.iter().map(move |arn| (action, arn)))
            {
                let is_used = used.get(action).is_some_and(|resources| resources.contains(resource));
                let is_used_elsewhere = USED_ELSEWHERE
                    .iter()
                    .any(|(binary, other, _)| *binary == function.binary && other == action);
                let is_of_lambda = of_lambda.contains(&(action.as_str(), short(resource)));
                if !is_used && !is_used_elsewhere && !is_of_lambda {
                    violations.push(format!(
                        "{}: no sample uses {action} on {resource}: remove the permission, or add a sample",
                        function.logical_id
                    ));
                }
            }
        }
    }
    violations
}

/// Sends the samples to the artifacts of `sam build`, each function under AWS's emulator. Tables, queues,
/// topics and the functions that are invoked by others run on the platform, from the same artifacts.
#[tokio::test]
#[ignore = "needs the artifacts of `sam build` and the emulator: .ci/emulate"]
async fn every_packaged_artifact_returns_the_expected_responses_under_the_emulator() {
    let variable = |name: &str| PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("set {name}")));
    let (artifacts, program) = (variable("SAM_ARTIFACTS"), variable("LAMBDA_EMULATOR"));
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let platform = platform(data.path(), &artifacts).await;
    let mut emulators = BTreeMap::new();
    let mut violations = Vec::new();
    for (name, expected) in SAMPLES {
        let binary = binary(name);
        let log = logs.path().join(format!("{binary}.log"));
        if !emulators.contains_key(binary) {
            let function = Template::committed().function_of_binary(binary).unwrap();
            let executable = artifacts.join(&function.logical_id).join("bootstrap");
            let environment = platform.environment(&function.logical_id).unwrap();
            let emulator = RuntimeInterfaceEmulator::start(&program, &executable, environment, &log).await;
            emulators.insert(binary, emulator);
        }
        let (failed, payload) = emulators[binary].invoke(&read(name)).await;
        if let Some(difference) = difference(*expected, failed, &payload) {
            let log = std::fs::read_to_string(&log).unwrap();
            violations.push(format!("events/{name}.json: {difference}\n{log}"));
        }
    }
    let (functions, passed) = (emulators.len(), SAMPLES.len() - violations.len());
    drop(emulators);
    platform.stop().await;
    eprintln!("{passed} of {} samples passed, with {functions} packaged functions", SAMPLES.len());
    assert_none(violations);
}
