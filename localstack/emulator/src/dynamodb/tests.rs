//! The endpoint through the AWS SDK.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::arn;
use crate::database_file::testing::{assert_refused, unrelated_files};
use crate::deployment::{Function, Statement};

const TABLE: &str = "erp-things";

fn table(indexes: &[&str]) -> Table {
    let index = |name: &&str| {
        json!({
            "IndexName": name,
            "KeySchema": [{ "AttributeName": "sk", "KeyType": "HASH" }],
            "Projection": { "ProjectionType": "ALL" },
        })
    };
    Table {
        logical_id: "Things".to_owned(),
        name: TABLE.to_owned(),
        create: json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "pk", "AttributeType": "S" },
                { "AttributeName": "sk", "AttributeType": "S" },
            ],
            "KeySchema": [
                { "AttributeName": "pk", "KeyType": "HASH" },
                { "AttributeName": "sk", "KeyType": "RANGE" },
            ],
            "GlobalSecondaryIndexes": indexes.iter().map(index).collect::<Value>(),
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
        }),
        ttl_attribute: Some("expires_at".to_owned()),
    }
}

/// A function that may put and read in the table, and nothing else.
fn function() -> Function {
    Function {
        logical_id: "Putter".to_owned(),
        name: "erp-putter".to_owned(),
        binary: "putter".to_owned(),
        environment: BTreeMap::new(),
        memory_size: 128,
        timeout: Duration::from_secs(3),
        alias: None,
        reserved_concurrency: None,
        statements: vec![Statement {
            actions: vec!["dynamodb:PutItem".to_owned(), "dynamodb:GetItem".to_owned()],
            resources: vec![arn::table(TABLE)],
        }],
    }
}

struct Running {
    dynamodb: DynamoDb,
    url: String,
    iam: Arc<Iam>,
    _folder: tempfile::TempDir,
}

async fn running() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let iam = Arc::new(Iam::for_tests(&[function()]));
    let path = folder.path().join("dynamodb.sqlite");
    let dynamodb = DynamoDb::start(&path, &[table(&["list"])], Arc::clone(&iam)).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = dynamodb.router();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Running { dynamodb, url, iam, _folder: folder }
}

impl Running {
    fn client(&self, key: &str, secret: &str) -> Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.url)
            .retry_config(RetryConfig::disabled())
            .credentials_provider(Credentials::new(key, secret, None, None, "test"))
            .build();
        Client::from_conf(config)
    }

    fn owner(&self) -> Client {
        let keys = self.iam.owner();
        self.client(&keys.access_key_id, &keys.secret_access_key)
    }

    fn putter(&self) -> Client {
        let keys = self.iam.credentials("Putter").unwrap();
        self.client(&keys.access_key_id, &keys.secret_access_key)
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

async fn put(client: &Client, pk: &str) -> Result<(), String> {
    let put = client.put_item().table_name(TABLE).item("pk", text(pk)).item("sk", text("x")).send().await;
    put.map(|_| ())
        .map_err(|error| format!("{} {}", error.code().unwrap_or("-"), DisplayErrorContext(&error)))
}

async fn count(client: &Client) -> i32 {
    client.scan().table_name(TABLE).send().await.unwrap().count()
}

#[tokio::test]
async fn a_function_is_allowed_what_its_policy_allows_and_denied_the_rest() {
    let running = running().await;
    let putter = running.putter();
    put(&putter, "a").await.unwrap();

    let denied = putter.scan().table_name(TABLE).send().await.unwrap_err();
    assert_eq!(denied.code(), Some("AccessDeniedException"));
    let message = denied.message().unwrap();
    assert!(message.contains("assumed-role/erp-putter"), "{message}");
    assert!(message.contains(&format!("dynamodb:Scan on resource: {}", arn::table(TABLE))), "{message}");

    // A transaction requires the permissions of its elements.
    let item = |kind: &str| {
        let put =
            Put::builder().table_name(TABLE).item("pk", text(kind)).item("sk", text("x")).build().unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    putter.transact_write_items().transact_items(item("b")).send().await.unwrap();
    let deletes = aws_sdk_dynamodb::types::Delete::builder()
        .table_name(TABLE)
        .key("pk", text("a"))
        .key("sk", text("x"))
        .build()
        .unwrap();
    let deletes = TransactWriteItem::builder().delete(deletes).build();
    let denied = putter.transact_write_items().transact_items(item("c")).transact_items(deletes).send().await;
    assert_eq!(denied.unwrap_err().code(), Some("AccessDeniedException"));

    assert_eq!(count(&running.owner()).await, 2);
    assert!(
        put(&running.client("AKIASOMEBODY", "else"), "d").await.unwrap_err().contains("UnrecognizedClient")
    );
    running.dynamodb.stop().await;
}

#[tokio::test]
async fn a_query_for_an_empty_key_is_rejected_as_on_aws() {
    let running = running().await;
    let query = |sk: &str| {
        let query = running.owner().query().table_name(TABLE).expression_attribute_values(":pk", text("a"));
        query
            .key_condition_expression("pk = :pk AND sk BETWEEN :low AND :high")
            .expression_attribute_values(":low", text(sk))
            .expression_attribute_values(":high", text("~"))
            .send()
    };
    assert_eq!(query("0").await.unwrap().count(), 0);
    assert_eq!(query("").await.unwrap_err().code(), Some("ValidationException"));
}

#[tokio::test]
async fn a_write_notifies_the_readers_of_streams_and_a_read_does_not() {
    let running = running().await;
    let notified = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&notified);
    running.dynamodb.set_wake(Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let owner = running.owner();
    count(&owner).await;
    assert_eq!(notified.load(Ordering::SeqCst), 0);
    put(&owner, "a").await.unwrap();
    assert_eq!(notified.load(Ordering::SeqCst), 1);

    let described = owner.describe_table().table_name(TABLE).send().await.unwrap();
    let described = described.table().unwrap();
    assert_eq!(described.table_arn(), Some(arn::table(TABLE).as_str()));
    assert!(described.latest_stream_arn().unwrap().starts_with(&arn::table(TABLE)));
}

/// Injects a fault into the first matching call.
struct Once(Mutex<Option<(&'static str, bool, Fault)>>);

impl Once {
    fn take(&self, call: &Call<'_>, after: bool) -> Option<Fault> {
        let mut planned = self.0.lock().unwrap();
        planned
            .take_if(|(operation, when, _)| *operation == call.operation && *when == after)
            .map(|(_, _, f)| f)
    }
}

impl Intercept for Once {
    fn before(&self, call: &Call<'_>) -> Option<Fault> {
        self.take(call, false)
    }

    fn after(&self, call: &Call<'_>) -> Option<Fault> {
        self.take(call, true)
    }
}

#[tokio::test]
async fn a_fault_can_be_injected_before_a_call_runs_or_after_it_succeeded() {
    let running = running().await;
    let owner = running.owner();
    let throttled = Fault::Error {
        status: StatusCode::BAD_REQUEST,
        code: "ThrottlingException".to_owned(),
        message: "slow down".to_owned(),
    };
    running.dynamodb.set_intercept(Some(Arc::new(Once(Mutex::new(Some(("PutItem", false, throttled)))))));
    assert!(put(&owner, "a").await.unwrap_err().starts_with("ThrottlingException"));
    assert_eq!(count(&owner).await, 0, "it did not run");

    let hang_up = Fault::HangUp { after: Duration::from_millis(10) };
    running.dynamodb.set_intercept(Some(Arc::new(Once(Mutex::new(Some(("PutItem", true, hang_up)))))));
    put(&owner, "a").await.unwrap_err();
    assert_eq!(count(&owner).await, 1, "it ran, and the response was lost");
    put(&owner, "a").await.unwrap();
}

#[tokio::test]
async fn items_survive_a_restart_and_a_changed_table_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dynamodb.sqlite");
    let start = |table: Table| {
        let path = path.clone();
        async move { DynamoDb::start(&path, &[table], Arc::new(Iam::for_tests(&[]))).await }
    };
    let first = start(table(&["list"])).await.unwrap();
    let item = json!({ "TableName": TABLE, "Item": { "pk": { "S": "a" }, "sk": { "S": "x" } } });
    first.database().put_item(serde_json::from_value(item).unwrap()).unwrap();
    first.stop().await;

    let again = start(table(&["list"])).await.unwrap();
    let all = again.database().scan(serde_json::from_value(json!({ "TableName": TABLE })).unwrap()).unwrap();
    assert_eq!(all.count, 1);
    again.stop().await;

    let Err(error) = start(table(&["list", "status"])).await else { panic!("accepted") };
    assert!(error.to_string().contains("another GlobalSecondaryIndexes"), "{error}");
}

#[tokio::test]
async fn an_expired_item_is_deleted() {
    let running = running().await;
    let owner = running.owner();
    let expired = AttributeValue::N("1".to_owned());
    owner
        .put_item()
        .table_name(TABLE)
        .item("pk", text("a"))
        .item("sk", text("x"))
        .item("expires_at", expired)
        .send()
        .await
        .unwrap();
    running.dynamodb.database().sweep_ttl().unwrap();
    assert_eq!(count(&owner).await, 0);
}

#[tokio::test]
async fn a_file_that_is_not_a_database_of_dynoxide_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("newer");
    Database::new(&newer.to_string_lossy()).unwrap();
    rusqlite::Connection::open(&newer)
        .unwrap()
        .execute_batch("UPDATE _config SET value = '999' WHERE key = 'schema_version'")
        .unwrap();
    for (path, reason) in unrelated_files(folder.path()).into_iter().chain([(newer, "999")]) {
        let before = std::fs::read(&path).unwrap();
        let started = DynamoDb::start(&path, &[table(&[])], Arc::new(Iam::for_tests(&[]))).await;
        let Err(error) = started else { panic!("{} was opened", path.display()) };
        assert_refused(&path, &before, &error.to_string(), reason, "move it away");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_decoded_is_rejected_for_every_caller() {
    let running = running().await;
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let call = |key: String, target: Option<&'static str>, body: &'static str| {
        let mut request = http.post(&running.url).body(body);
        if let Some(target) = target {
            request = request.header("x-amz-target", target);
        }
        request
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={key}/d/r/s/aws4_request"))
            .send()
    };
    let keys = [running.iam.owner(), running.iam.credentials("Putter").unwrap()];
    for key in keys.map(|keys| keys.access_key_id.clone()) {
        for (target, body, code) in [
            (Some("DynamoDB_20120810.PutItem"), "[", "SerializationException"),
            (Some("DynamoDB_20120810.PutItem"), r#"{"TableName":"a\ud83d"}"#, "SerializationException"),
            (Some("DynamoDB_20120810.PutItem"), "", "SerializationException"),
            (Some("PutItem"), "{}", "UnknownOperationException"),
            (None, "{}", "UnknownOperationException"),
        ] {
            let response = call(key.clone(), target, body).await.unwrap();
            assert_eq!(response.status(), 400, "{target:?} {body}");
            let response: Value = response.json().await.unwrap();
            assert!(response["__type"].as_str().unwrap().ends_with(code), "{target:?} {body}: {response}");
        }
    }
}

/// A helper process of the next test. It fills a database whose file size is limited and reads it again.
#[tokio::test]
#[ignore = "a helper process, not a test"]
async fn fill_a_limited_disk() {
    let running = running().await;
    let owner = running.owner();
    let filler = "x".repeat(100_000);
    let mut written = 0;
    let error = loop {
        let item = owner.put_item().table_name(TABLE).item("pk", text(&written.to_string()));
        match item.item("sk", text("x")).item("filler", text(&filler)).send().await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Some("InternalServerError"), "{}", DisplayErrorContext(&error));
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 500);
    let read = owner.get_item().table_name(TABLE).key("pk", text("0")).key("sk", text("x")).send().await;
    assert!(read.unwrap().item().is_some(), "an item from before is readable");
    let described = owner.describe_table().table_name(TABLE).send().await;
    assert!(described.is_err(), "a health check fails");
    running.dynamodb.stop().await;
}

/// Limits the size of files for a process, with the effect of a full disk: a write fails with an error.
#[cfg(unix)]
#[tokio::test]
async fn a_full_disk_is_an_error_response_and_items_stay_readable() {
    // The signal of a write beyond the limit is ignored, so that the write returns an error. Blocks are of
    // 512 bytes or 1 KiB: a limit of 1 or 2 MiB.
    let script =
        "trap '' XFSZ; ulimit -f 2048; exec \"$0\" --ignored --exact dynamodb::tests::fill_a_limited_disk";
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", script]).arg(std::env::current_exe().unwrap()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output());
    let output = output.await.expect("a write on a full disk hangs").unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
}
