//! An embedded DynamoDB behind HTTP on a free loopback port.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    Projection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::{Database, ImportOptions};
use erp_aws::Table;
use erp_aws::table::Row;
use serde_json::{Value, json};

use crate::sdk::{listen, sdk_config};

/// The DynamoDB of one test.
#[derive(Clone)]
pub struct Dynamo {
    /// The SDK client.
    pub client: Client,
    /// The endpoint URL.
    pub endpoint: String,
    database: Database,
}

impl Dynamo {
    /// Starts an instance that ends with the test's runtime.
    pub async fn start() -> Self {
        let (listener, endpoint) = listen().await;
        let database = Database::memory().unwrap();
        tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        Self { client: Client::new(&sdk_config(&endpoint)), endpoint, database }
    }

    /// Creates a table with keys `pk`, `sk` and indexes with `{index}_pk`, `{index}_sk`. A conformance test checks that the
    /// tables of `template.yaml` have these keys.
    pub async fn table(&self, name: &str, indexes: &[&str]) -> Table {
        let names = indexes.iter().flat_map(|index| [format!("{index}_pk"), format!("{index}_sk")]);
        let attributes = ["pk".into(), "sk".into()].into_iter().chain(names).map(|name: String| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
        });
        let secondary = indexes.iter().map(|index| {
            GlobalSecondaryIndex::builder()
                .index_name(*index)
                .set_key_schema(Some(schema(&format!("{index}_"))))
                .projection(Projection::builder().projection_type(ProjectionType::All).build())
                .build()
                .unwrap()
        });
        let view = StreamViewType::NewAndOldImages;
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(view);
        self.client
            .create_table()
            .table_name(name)
            .set_attribute_definitions(Some(attributes.collect()))
            .set_key_schema(Some(schema("")))
            .set_global_secondary_indexes((!indexes.is_empty()).then(|| secondary.collect()))
            .stream_specification(stream.build().unwrap())
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await
            .unwrap();
        Table::new(self.client.clone(), name)
    }

    /// Writes rows, given as JSON objects, into a table: many at once, without stream records.
    pub fn import(&self, table: &str, rows: impl Iterator<Item = Value>) {
        let rows = rows.map(|row| serde_json::from_value(json_row(row)).unwrap()).collect();
        self.database.import_items(table, rows, ImportOptions::default()).unwrap();
    }

    /// Returns up to 1,000 records of the stream of a table after a sequence number, in the format of the Lambda event.
    pub fn stream_records(&self, table: &str, after: Option<String>) -> Vec<Value> {
        let stream_arn = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}/stream/test");
        let iterator_type = after.as_ref().map_or("TRIM_HORIZON", |_| "AFTER_SEQUENCE_NUMBER");
        let iterator = GetShardIteratorRequest {
            stream_arn: stream_arn.clone(),
            shard_id: dynoxide::streams::shard_id(table),
            shard_iterator_type: iterator_type.to_owned(),
            sequence_number: after,
        };
        let shard_iterator = self.database.get_shard_iterator(iterator).unwrap().shard_iterator.unwrap();
        let request = GetRecordsRequest { shard_iterator, limit: Some(1000) };
        let to_json = |record| {
            let mut json = serde_json::to_value(record).unwrap();
            json["awsRegion"] = "us-east-1".into();
            json["eventSourceARN"] = stream_arn.clone().into();
            json
        };
        self.database.get_records(request).unwrap().records.iter().map(to_json).collect()
    }
}

/// Converts a JSON object to DynamoDB JSON.
fn json_row(row: Value) -> Value {
    let Value::Object(attributes) = row else { panic!("not an object: {row}") };
    attributes.into_iter().map(|(name, value)| (name, json_attribute(value))).collect()
}

fn json_attribute(value: Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(value) => json!({"BOOL": value}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::String(text) => json!({"S": text}),
        Value::Array(list) => json!({"L": list.into_iter().map(json_attribute).collect::<Vec<_>>()}),
        Value::Object(_) => json!({"M": json_row(value)}),
    }
}

/// Returns every row of a table, sorted by key.
pub async fn rows(table: &Table) -> Vec<Row> {
    let scan = table.client.scan().table_name(&table.name).consistent_read(true).send().await.unwrap();
    let mut rows = scan.items.unwrap_or_default();
    rows.sort_by_key(|row| ["pk", "sk"].map(|part| row[part].as_s().unwrap().clone()));
    rows
}

/// Maximum size of an item, in bytes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>).
pub const MAX_ITEM_BYTES: usize = 400 * 1024;

/// Returns the billed size of an item, in bytes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>), rounded up where
/// the page says "approximately".
pub fn item_bytes(row: &Row) -> usize {
    fn value_bytes(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            // Two digits to a byte, one byte more, and one for a sign.
            AttributeValue::N(number) => number.len() / 2 + 2,
            AttributeValue::B(bytes) => bytes.as_ref().len(),
            AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
            AttributeValue::M(map) => 3 + map.len() + item_bytes(map),
            AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
            other => panic!("unexpected value: {other:?}"),
        }
    }
    row.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn schema(prefix: &str) -> Vec<KeySchemaElement> {
    [("pk", KeyType::Hash), ("sk", KeyType::Range)]
        .map(|(name, kind)| {
            KeySchemaElement::builder()
                .attribute_name(format!("{prefix}{name}"))
                .key_type(kind)
                .build()
                .unwrap()
        })
        .to_vec()
}
