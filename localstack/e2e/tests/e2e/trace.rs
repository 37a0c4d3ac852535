//! One request id connects the log lines of an order, from the request that confirmed it to the movement of
//! the stock: the query of docs/runbook.md.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixture::{DEADLINE, Fixture, send};
use crate::target::Target;

/// Log lines in order: function, message, and pointer to the order id.
const LINES: [(&str, &str, &str); 8] = [
    ("sales-api", "order saved", "/fields/order_id"),
    ("sales-api", "request completed", "/span/path"),
    ("relay", "event published", "/fields/subject"),
    ("inventory-worker", "allocation saved", "/fields/order_id"),
    ("inventory-worker", "movements written", "/fields/order_id"),
    ("inventory-worker", "event processed", "/fields/subject"),
    ("sales-worker", "stock status updated", "/fields/order_id"),
    ("sales-worker", "event processed", "/fields/subject"),
];

/// Metrics: function and name.
const METRICS: [(&str, &str); 5] = [
    ("sales-api", "OrdersCreated"),
    ("sales-api", "OrdersConfirmed"),
    ("relay", "EventsPublished"),
    ("inventory-worker", "OrdersAllocated"),
    ("inventory-worker", "StockMovements"),
];

/// Returns the JSON lines in the log of a function.
fn lines(logs: &Path, function: &str) -> Vec<Value> {
    // The file does not exist before the first line.
    let Ok(log) = std::fs::read_to_string(logs.join(format!("erp-{function}.log"))) else {
        return Vec::new();
    };
    log.lines()
        .filter_map(|line| line.find('{').and_then(|at| serde_json::from_str(&line[at..]).ok()))
        .collect()
}

/// Returns the expected lines that are not in the logs yet.
fn missing(logs: &Path, request_id: &str, order_id: &str) -> BTreeSet<String> {
    let is_logged = |function: &str, message: &str, place: &str| {
        lines(logs, function).iter().any(|line| {
            let ids = [&line["fields"]["request_id"], &line["span"]["request_id"]];
            let names_order = line.pointer(place).and_then(Value::as_str);
            line["fields"]["message"] == message
                && ids.iter().any(|id| *id == request_id)
                && names_order.is_some_and(|text| text.contains(order_id))
        })
    };
    let missing = LINES.into_iter().filter(|(function, message, place)| !is_logged(function, message, place));
    missing.map(|(function, message, _)| format!("{function}: {message}")).collect()
}

#[tokio::test]
async fn one_request_id_connects_a_confirmation_with_its_stock_movements() {
    let target = Target::shared();
    let Some(platform) = target.platform_or_skip("the log lines of an order") else { return };
    let logs = platform.logs();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("10.00", 5).await;
    let order = fixture.create_sales_order(&[(&item, 2)]).await;
    let confirmed = send(&fixture.inventory, "POST", &format!("{order}/confirm"), None).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let request_id = confirmed.headers["x-request-id"].to_str().unwrap().to_owned();
    let order_id = order.rsplit('/').next().unwrap();
    fixture.wait_for_stock_status(&order, "allocated").await;

    let start = Instant::now();
    loop {
        let missing = missing(&logs, &request_id, order_id);
        if missing.is_empty() {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "no log line of {request_id} and {order_id}: {missing:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    for (function, metric) in METRICS {
        let line = lines(&logs, function).into_iter().find(|line| line[metric].is_u64());
        let line = line.unwrap_or_else(|| panic!("{function} does not emit {metric}"));
        assert_eq!(line["FunctionName"], format!("erp-{function}"), "{line}");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "ErpOrderPlatform", "{line}");
    }
}
