//! What is written down beside the code says what the code does.

use std::collections::BTreeSet;

use erp_domain::order::OrderKind;
use serde_json::{Value, json};

use crate::House;

/// The service's part of the OpenAPI document.
async fn document() -> Value {
    let (_, document) = sales::api::router(House::start().await.orders).split_for_parts();
    serde_json::to_value(erp_http::openapi::finish(document)).unwrap()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| references(element, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    let document = document().await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn the_document_names_the_statuses_that_there_are() {
    let schemas = document().await["components"]["schemas"].clone();
    assert_eq!(schemas["SalesOrderStatus"]["enum"], json!(OrderKind::Sales.statuses()));
    assert_eq!(
        schemas["SalesOrderStockStatus"]["enum"],
        json!(["none", "pending", "allocated", "backordered", "released"])
    );
    let fields: BTreeSet<_> =
        schemas["SalesOrder"]["properties"].as_object().unwrap().keys().cloned().collect();
    assert!(fields.contains("customer_id") && fields.contains("stock_status"), "{fields:?}");
}
