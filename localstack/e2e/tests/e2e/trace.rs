//! One order, followed through the logs by one id: from the request that confirmed it to the movement of the stock.
//! This is what somebody does on call, with the query of the runbook.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixture::{DEADLINE, Fixture, send};
use crate::target::Target;

/// What the functions say on the way: function, message, and where the line names the order.
const WAY: [(&str, &str, &str); 8] = [
    ("sales-api", "order saved", "/fields/order_id"),
    ("sales-api", "request answered", "/span/path"),
    ("relay", "event published", "/fields/subject"),
    ("inventory-worker", "allocation saved", "/fields/order_id"),
    ("inventory-worker", "movements written", "/fields/order_id"),
    ("inventory-worker", "event handled", "/fields/subject"),
    ("sales-worker", "decision noted", "/fields/order_id"),
    ("sales-worker", "event handled", "/fields/subject"),
];

/// What is counted on the way: function and figure.
const COUNTED: [(&str, &str); 5] = [
    ("sales-api", "OrdersCreated"),
    ("sales-api", "OrdersConfirmed"),
    ("relay", "EventsPublished"),
    ("inventory-worker", "OrdersAllocated"),
    ("inventory-worker", "StockMovements"),
];

/// The lines of a function's log that are JSON, which are all but those of a crash.
fn lines(logs: &Path, function: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(logs.join(format!("erp-{function}.log"))).unwrap_or_default();
    log.lines()
        .filter_map(|line| line.find('{').and_then(|at| serde_json::from_str(&line[at..]).ok()))
        .collect()
}

/// Which parts of the way the logs do not tell yet.
fn untold(logs: &Path, request_id: &str, order_id: &str) -> BTreeSet<String> {
    let told = |function: &str, message: &str, place: &str| {
        lines(logs, function).iter().any(|line| {
            let ids = [&line["fields"]["request_id"], &line["span"]["request_id"]];
            let names_order = line.pointer(place).and_then(Value::as_str);
            line["fields"]["message"] == message
                && ids.iter().any(|id| *id == request_id)
                && names_order.is_some_and(|text| text.contains(order_id))
        })
    };
    let untold = WAY.into_iter().filter(|(function, message, place)| !told(function, message, place));
    untold.map(|(function, message, _)| format!("{function}: {message}")).collect()
}

#[tokio::test]
async fn an_order_is_followed_from_its_request_to_the_stock_by_one_id() {
    let target = Target::shared();
    let Some(platform) = target.platform_or_skip("following an order through the logs") else { return };
    let logs = platform.logs();
    let fixture = Fixture::new(&target).await;
    let item = fixture.create_item("10.00", 5).await;
    let order = fixture.create_sales_order(&[(&item, 2)]).await;
    let confirmed = send(&fixture.inventory, "POST", &format!("{order}/confirm"), None).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let request_id = confirmed.headers["x-request-id"].to_str().unwrap().to_owned();
    let order_id = order.rsplit('/').next().unwrap();
    fixture.wait_for_stock_status(&order, "allocated").await;

    let began = Instant::now();
    loop {
        let untold = untold(&logs, &request_id, order_id);
        if untold.is_empty() {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "the logs do not name {request_id} and {order_id} at {untold:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    for (function, metric) in COUNTED {
        let counted = lines(&logs, function).into_iter().find(|line| line[metric].is_u64());
        let line = counted.unwrap_or_else(|| panic!("{function} does not count {metric}"));
        assert_eq!(line["FunctionName"], format!("erp-{function}"), "{line}");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "ErpOrderPlatform", "{line}");
    }
}
