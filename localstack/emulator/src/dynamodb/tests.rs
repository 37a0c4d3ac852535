//! The endpoint as the SDK sees it.

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
async fn a_function_does_what_its_policy_allows_and_is_refused_the_rest() {
    let running = running().await;
    let putter = running.putter();
    put(&putter, "a").await.unwrap();

    let denied = putter.scan().table_name(TABLE).send().await.unwrap_err();
    assert_eq!(denied.code(), Some("AccessDeniedException"));
    let message = denied.message().unwrap();
    assert!(message.contains("assumed-role/erp-putter"), "{message}");
    assert!(message.contains(&format!("dynamodb:Scan on resource: {}", arn::table(TABLE))), "{message}");

    // A transaction is checked by what it does.
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
async fn a_query_for_an_empty_key_is_refused_as_on_aws() {
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
async fn a_write_wakes_the_readers_of_streams_and_a_read_does_not() {
    let running = running().await;
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    running.dynamodb.set_wake(Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let owner = running.owner();
    count(&owner).await;
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    put(&owner, "a").await.unwrap();
    assert_eq!(woken.load(Ordering::SeqCst), 1);

    let described = owner.describe_table().table_name(TABLE).send().await.unwrap();
    let described = described.table().unwrap();
    assert_eq!(described.table_arn(), Some(arn::table(TABLE).as_str()));
    assert!(described.latest_stream_arn().unwrap().starts_with(&arn::table(TABLE)));
}

/// Lets the first matching call go wrong.
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
async fn a_call_can_be_made_to_fail_before_it_runs_or_after_it_succeeded() {
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
    assert_eq!(count(&owner).await, 1, "it ran, and nobody was told");
    put(&owner, "a").await.unwrap();
}

#[tokio::test]
async fn items_survive_a_restart_and_a_changed_table_is_refused() {
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
async fn an_expired_item_goes() {
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
