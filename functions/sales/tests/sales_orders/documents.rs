//! The OpenAPI document of the service.

use std::collections::BTreeSet;

use sales::domain::{SalesStatus, StockStatus};
use serde_json::{Value, json};
use strum::VariantArray;

/// Returns the service's part of the OpenAPI document.
fn document() -> Value {
    serde_json::to_value(erp_http::openapi::finish(sales::api::document())).unwrap()
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

#[test]
fn every_reference_of_the_document_resolves() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(
            document.pointer(reference.trim_start_matches('#')).is_some(),
            "{reference} does not resolve"
        );
    }
}

#[test]
fn the_document_lists_the_statuses_of_the_domain() {
    let schemas = document()["components"]["schemas"].clone();
    assert_eq!(schemas["SalesOrderStatus"]["enum"], json!(SalesStatus::VARIANTS));
    assert_eq!(schemas["SalesOrderStockStatus"]["enum"], json!(StockStatus::VARIANTS));
    assert_eq!(
        schemas["SalesOrderStockStatus"]["enum"],
        json!(["none", "pending", "allocated", "backordered", "released"])
    );
    let fields: BTreeSet<_> =
        schemas["SalesOrder"]["properties"].as_object().unwrap().keys().cloned().collect();
    assert!(fields.contains("customer_id") && fields.contains("stock_status"), "{fields:?}");
}

#[test]
fn requests_are_as_strict_as_the_server() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for request in ["SalesOrderRequest", "ConfirmRequest", "OrderItemRequest"] {
        assert_eq!(schemas[request]["additionalProperties"], json!(false), "{request}");
    }
    assert_eq!(schemas["ConfirmRequest"].get("required"), None);
    assert_eq!(schemas["OrderItemRequest"]["required"], json!(["item_id", "quantity"]));
    let confirm = &document["paths"]["/api/sales/orders/{id}/confirm"]["post"]["requestBody"];
    assert_ne!(confirm["required"], json!(true), "{confirm}");
    assert_eq!(document["paths"]["/api/sales/orders/{id}/pay"]["post"].get("requestBody"), None);
}
