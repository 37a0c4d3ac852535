//! The events in `events/`: each goes to its function - the real binary, with the rights that the template gives it,
//! over real tables, queues and topics - and the function answers what stands here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::primitives::Blob;
use erp_aws::Table;
use erp_local::arn;
use erp_local::deployment::{REGION, TriggerSource};
use erp_local::platform::{Options, Platform};
use serde_json::{Value, json};

use crate::emulator::Emulator;
use crate::executables;
use crate::none;
use crate::seed::seed;
use crate::world::{STACK, World, deployment, function, lambda_client, workspace};

pub(crate) mod holds {
    crate::checks::checks!(every_function_and_every_trigger_has_a_sample);
}

/// What a function makes of a sample.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// An answer with this status; at the pointer into its body, if there is one, stands this.
    Http(u16, Option<(&'static str, &'static str)>),
    /// A result; at the pointer stands this JSON.
    Result(&'static str, &'static str),
    /// An error with this message.
    Error(&'static str),
}

use Expected::{Error, Http, Result};

/// A success with its message.
const fn says(status: u16, message: &'static str) -> Expected {
    Http(status, Some(("/message", message)))
}

/// A problem with its code.
const fn refuses(status: u16, code: &'static str) -> Expected {
    Http(status, Some(("/code", code)))
}

/// Every message of a batch, or every record, was handled.
const DONE: Expected = Result("/batchItemFailures", "[]");

/// Every sample, in the order in which they are fed: some build on what others did.
const SAMPLES: &[(&str, Expected)] = &[
    ("auth-api.register", says(201, "User registered successfully")),
    ("auth-api.login", says(200, "Login successful")),
    ("auth-api.forgot-password", says(200, "Password reset requested successfully")),
    ("auth-api.reset-password", refuses(400, "validation_failed")),
    ("auth-api.service-token", says(200, "Service token issued successfully")),
    ("authorizer.token", Result("/context/role", "\"finance_manager\"")),
    ("authorizer.expired-token", Error("Unauthorized")),
    ("contact-api.create-customer", says(201, "Customer created successfully")),
    ("contact-api.list-vendors", Http(200, Some(("/data/1/name", "Northern Laptops")))),
    ("contact-api.update-customer", says(200, "Customer updated successfully")),
    ("contact-query.customer", Result("", r#"{"exists":true}"#)),
    ("inventory-api.create-item", says(201, "Item created successfully")),
    ("inventory-api.list-items", says(200, "Items retrieved successfully")),
    ("inventory-api.list-movements", Http(200, Some(("/data/0/kind", "adjusted")))),
    ("inventory-query.items", Result("/items/0/quantity", "50")),
    ("inventory-api.change-stock", says(200, "Stock updated successfully")),
    ("inventory-worker.purchase-received", DONE),
    ("inventory-worker.sales-confirmed", DONE),
    ("inventory-worker.order-allocated", DONE),
    ("inventory-worker.sales-cancelled", DONE),
    ("inventory-worker.stock-adjusted", DONE),
    (
        "inventory-worker.poison",
        Result("/batchItemFailures", r#"[{"itemIdentifier":"059f36b4-87a3-44ab-83d2-661975973001"}]"#),
    ),
    ("sales-api.create", says(201, "Sales order created successfully")),
    ("sales-api.list", says(200, "Sales orders retrieved successfully")),
    ("sales-api.list-drafts", Http(200, Some(("/data/0/status", "draft")))),
    ("sales-api.list-of-customer", Http(200, Some(("/data/0/currency", "USD")))),
    ("sales-api.confirm", Http(200, Some(("/data/order/status", "confirmed")))),
    ("sales-api.pay-not-allowed", refuses(403, "forbidden")),
    ("sales-api.no-caller", refuses(401, "unauthorized")),
    ("sales-api.pay", Http(200, Some(("/data/order/status", "paid")))),
    ("sales-api.cancel-too-late", refuses(409, "illegal_transition")),
    ("sales-api.history", Http(200, Some(("/data/0/type", "sales.order.confirmed")))),
    ("sales-worker.order-allocated", DONE),
    (
        "sales-worker.poison",
        Result("/batchItemFailures", r#"[{"itemIdentifier":"059f36b4-87a3-44ab-83d2-661975973002"}]"#),
    ),
    ("purchase-api.create", says(201, "Purchase order created successfully")),
    ("purchase-api.create-unknown", Http(400, Some(("/errors/1/pointer", "/items/0/item_id")))),
    ("purchase-api.list", Http(200, Some(("/data/0/status", "draft")))),
    ("purchase-api.list-all", says(200, "Purchase orders retrieved successfully")),
    ("purchase-api.list-received", Http(200, Some(("/data/0/status", "received")))),
    ("purchase-api.receive", Http(200, Some(("/data/order/status", "received")))),
    ("purchase-api.history", Http(200, Some(("/data/0/type", "purchase.order.received")))),
    ("relay.auth-stream", DONE),
    ("relay.contact-stream", DONE),
    ("relay.inventory-stream", DONE),
    ("relay.sales-stream", DONE),
    ("relay.purchase-stream", DONE),
    ("relay-sweep.schedule", Result("/complete", "true")),
    ("reconcile.schedule", Result("/mismatches", "0")),
    ("portal.health", says(200, "Gateway is healthy")),
    ("portal.openapi", Http(200, Some(("/openapi", "3.1.0")))),
    ("portal.swagger", Http(200, None)),
    ("portal.wrong-verb", refuses(405, "method_not_allowed")),
    ("inventory-api.delete-item", says(200, "Item deleted successfully")),
    ("contact-api.delete-vendor", says(200, "Vendor deleted successfully")),
];

/// The key that the samples' tokens are signed with, and the secret that the sample of a service knows.
pub(crate) const SECRETS: [(&str, &str); 2] = [
    (
        "erp-JwtKeys",
        r#"{"kid":"sample","key":"sample-key-that-protects-nothing-0123456789abcdef0123456789abcdef"}"#,
    ),
    ("erp-ServiceCredentials", r#"{"integration":"sample-secret-that-protects-nothing-0123456789abc"}"#),
];

/// Where browsers may call from: not the default, so that an answer shows that it is passed on.
const ORIGIN: &str = "https://shop.example.com";

fn read(name: &str) -> Value {
    let path = workspace().join("events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The binary that a sample is for.
fn binary(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// The names of the files, without `.json`.
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
    let without_row =
        files.difference(&rows).map(|name| format!("events/{name}.json: say in SAMPLES what comes of it"));
    let without_file = rows.difference(&files).map(|name| format!("{name} is in SAMPLES and not in events/"));
    let unexplained = files.iter().filter(|name| !readme.contains(&format!("`{name}`")));
    let unexplained = unexplained.map(|name| format!("events/README.md: say what `{name}` shows"));
    none(without_row.chain(without_file).chain(unexplained));
}

fn every_function_and_every_trigger_has_a_sample(world: &World) -> Vec<String> {
    static READ: OnceLock<Vec<(&str, Value)>> = OnceLock::new();
    let samples = READ.get_or_init(|| SAMPLES.iter().map(|(name, _)| (binary(name), read(name))).collect());
    let mut faults = Vec::new();
    for function in &world.deployment.functions {
        if !samples.iter().any(|(binary, _)| *binary == function.binary) {
            faults.push(format!("add events/{}.<what>.json", function.binary));
        }
    }
    for (name, _) in SAMPLES {
        if !world.deployment.functions.iter().any(|function| function.binary == binary(name)) {
            faults.push(format!(
                "events/{name}.json: the template has no function of the binary {}",
                binary(name)
            ));
        }
    }
    for trigger in &world.deployment.triggers {
        let wanted = &world.function(&trigger.function).binary;
        let fits = |event: &Value| {
            let source = event["Records"][0]["eventSourceARN"].as_str().unwrap_or_default();
            match &trigger.source {
                TriggerSource::Queue { queue_arn, .. } => source == queue_arn,
                TriggerSource::Stream { table, .. } => {
                    source.starts_with(&format!("{}/stream/", arn::table(table)))
                }
                TriggerSource::Schedule { .. } => event["detail-type"] == "Scheduled Event",
            }
        };
        if !samples.iter().any(|(binary, event)| binary == wanted && fits(event)) {
            faults.push(format!("add an event of the trigger {} of {wanted} to events/", trigger.name));
        }
    }
    faults
}

#[test]
fn a_sample_of_a_request_is_for_a_route_of_its_function() {
    none(SAMPLES.iter().filter_map(|(name, expected)| {
        let Http(..) = expected else { return None };
        let event = read(name);
        let (method, path) = (event["httpMethod"].as_str()?, event["resource"].as_str()?);
        let routes =
            deployment().api.routes.iter().filter(|route| function(&route.function).binary == binary(name));
        let fits = routes
            .into_iter()
            .any(|route| route.path == path && [method, "ANY"].contains(&route.method.as_str()));
        (!fits).then(|| format!("events/{name}.json: {method} {path} is no route of {}", binary(name)))
    }));
}

/// The platform with the samples' secrets, and what the samples name.
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
    seed(|service| Table::new(client.clone(), format!("{STACK}-{service}"))).await;
    platform
}

/// What is wrong with what came of a sample, if anything.
fn fault(expected: Expected, failed: bool, payload: &Value) -> Option<String> {
    let is_right = match expected {
        Error(message) => failed && payload["errorMessage"] == message,
        Result(pointer, wanted) => {
            let wanted: Value = serde_json::from_str(wanted).unwrap();
            !failed && payload.pointer(pointer) == Some(&wanted)
        }
        Http(status, wanted) => {
            let body: Value =
                serde_json::from_str(payload["body"].as_str().unwrap_or_default()).unwrap_or_default();
            let headers = [&payload["headers"], &payload["multiValueHeaders"]];
            let passed_on = headers.iter().any(|headers| {
                let origin = &headers["access-control-allow-origin"];
                *origin == ORIGIN || *origin == json!([ORIGIN])
            });
            if !passed_on {
                return Some(format!(
                    "the answer does not allow the origin that the template says: {payload}"
                ));
            }
            let said =
                wanted.is_none_or(|(pointer, text)| body.pointer(pointer).is_some_and(|found| found == text));
            !failed && payload["statusCode"] == status && said
        }
    };
    (!is_right).then(|| format!("{expected:?} was expected, and this came: {payload}"))
}

#[tokio::test]
async fn every_sample_does_what_stands_beside_it() {
    let data = tempfile::tempdir().unwrap();
    let platform = platform(data.path(), executables::folder()).await;
    let client = lambda_client(platform.aws_endpoint(), platform.access_key());
    let mut faults = Vec::new();
    for (name, expected) in SAMPLES {
        let function = format!("{STACK}-{}", binary(name));
        let payload = Blob::new(read(name).to_string());
        let answer = client.invoke().function_name(function).payload(payload).send().await.unwrap();
        let failed = answer.function_error.is_some();
        let payload = serde_json::from_slice(&answer.payload.unwrap().into_inner()).unwrap_or_default();
        faults.extend(fault(*expected, failed, &payload).map(|fault| format!("events/{name}.json: {fault}")));
    }
    faults.extend(unused(&platform));
    platform.stop().await;
    none(faults);
}

/// Rights that no sample needs, and which test needs them.
const USED_ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "auth-api",
        "dynamodb:UpdateItem",
        "a reset takes a token that no file can know: localstack/e2e, the walk",
    ),
    ("relay-sweep", "sns:Publish", "the relay is faster than the sweep: functions/relay/tests"),
    ("relay-sweep", "dynamodb:UpdateItem", "as above"),
    ("reconcile", "dynamodb:BatchGetItem", "a second look at what seems wrong: functions/operator/tests"),
    ("reconcile", "dynamodb:GetItem", "as above"),
    ("reconcile", "dynamodb:Query", "as above, for movements; of the outboxes the sample makes use"),
    ("reconcile", "lambda:InvokeFunction", "tables that take longer than its time: functions/operator"),
];

/// Rights that nobody made use of. That none was missing the samples show by working.
fn unused(platform: &Platform) -> Vec<String> {
    let mut faults = Vec::new();
    for function in &platform.deployment().functions {
        let used = platform.iam().used(&function.logical_id);
        for statement in &function.statements {
            for (action, resource) in statement
                .actions
                .iter()
                .flat_map(|action| statement.resources.iter().map(move |arn| (action, arn)))
            {
                let is_used = used.get(action).is_some_and(|resources| resources.contains(resource));
                let elsewhere = USED_ELSEWHERE
                    .iter()
                    .any(|(binary, right, _)| *binary == function.binary && right == action);
                if !is_used && !elsewhere {
                    faults.push(format!(
                        "{}: no sample needs {action} on {resource}: take the right out, or add a sample",
                        function.logical_id
                    ));
                }
            }
        }
    }
    faults
}

/// The same with what `sam build` made, each function under AWS's own emulator. Tables, queues and topics are the
/// platform's, and so are the functions that others ask; those are of the same build.
#[tokio::test]
#[ignore = "needs what `sam build` makes, and the emulator: .ci/emulate"]
async fn every_packaged_artifact_answers_its_samples_under_the_emulator() {
    let variable = |name: &str| PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("set {name}")));
    let (artifacts, emulator) = (variable("SAM_ARTIFACTS"), variable("LAMBDA_EMULATOR"));
    let data = tempfile::tempdir().unwrap();
    let platform = platform(data.path(), &artifacts).await;
    let mut emulators = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, expected) in SAMPLES {
        let binary = binary(name);
        let log = data.path().join(format!("{binary}.log"));
        let emulator = emulators.entry(binary).or_insert_with(|| {
            let function = deployment().functions.iter().find(|function| function.binary == binary).unwrap();
            let executable = artifacts.join(&function.logical_id).join("bootstrap");
            let environment = platform.environment(&function.logical_id).unwrap();
            Emulator::start(&emulator, &executable, environment, &log)
        });
        let (failed, payload) = emulator.invoke(&read(name)).await;
        if let Some(fault) = fault(*expected, failed, &payload) {
            let log = std::fs::read_to_string(&log).unwrap();
            faults.push(format!("events/{name}.json: {fault}\n{log}"));
        }
    }
    let (functions, answered) = (emulators.len(), SAMPLES.len() - faults.len());
    drop(emulators);
    platform.stop().await;
    eprintln!("{answered} of {} events answered, by {functions} packaged functions", SAMPLES.len());
    none(faults);
}
