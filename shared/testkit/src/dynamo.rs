//! An embedded DynamoDB behind HTTP on a free loopback port.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    Projection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use erp_aws::Table;
use erp_aws::table::Row;

use crate::sdk::{listen, sdk_config};

/// The DynamoDB of one test.
#[derive(Debug, Clone)]
pub struct Dynamo {
    /// The SDK client.
    pub client: Client,
    /// The endpoint URL.
    pub endpoint: String,
}

impl Dynamo {
    /// Starts an instance that ends with the test's runtime.
    pub async fn start() -> Self {
        let (listener, endpoint) = listen().await;
        let database = dynoxide::Database::memory().unwrap();
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        Self { client: Client::new(&sdk_config(&endpoint)), endpoint }
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
        let stream =
            StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewImage);
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
