//! Figures of the business, for CloudWatch: what a function did is one line of JSON among its logs, in the embedded
//! metric format, and costs no call
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! Count where something has been committed, not where it is tried: a figure that counts attempts answers nothing.
//! The one dimension is the function, which Lambda names in every environment, so two stacks of one account stay
//! apart and no figure multiplies into hundreds. Outside Lambda there is no function to count for, and no line.

use std::fmt;
use std::io::Write;

use erp_domain::ports::SystemClock;
use erp_domain::{Clock, Timestamp};
use serde_json::{Map, Value, json};

/// Where CloudWatch keeps the figures.
pub const NAMESPACE: &str = "ErpOrderPlatform";
/// What they are told apart by.
pub const DIMENSION: &str = "FunctionName";

macro_rules! metrics {
    ($($name:ident, $doc:literal;)+) => {
        /// Every figure there is. All are counts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric { $(#[doc = $doc] $name,)+ }

        impl Metric {
            /// Every figure.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in CloudWatch.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

metrics! {
    OrdersCreated, "Drafts that were written.";
    OrdersConfirmed, "Sales that became binding.";
    OrdersReceived, "Purchases that arrived.";
    OrdersPaid, "Orders that were paid.";
    OrdersCancelled, "Orders that were given up.";
    OrdersAllocated, "Sales that got all their stock.";
    OrdersBackordered, "Sales that have to wait for stock.";
    OrdersReleased, "Sales whose stock was given back.";
    StockMovements, "Changes of the stock of one item.";
    EventsPublished, "Events that SNS took.";
    EventsDeduplicated, "Events that said what was known already.";
    EventsSwept, "Rows that the relay had left in an outbox.";
    ReconcileChecked, "Items and orders whose books were looked at.";
    ReconcileMismatches, "Items and orders whose books do not agree.";
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Counts one thing.
pub fn count(metric: Metric) {
    emit(&[(metric, 1)]);
}

/// Says several figures at once, on one line. A zero is a figure too: it tells that somebody looked.
pub fn emit(figures: &[(Metric, u64)]) {
    let Ok(function) = std::env::var("AWS_LAMBDA_FUNCTION_NAME") else { return };
    let line = line(&function, SystemClock.now(), figures);
    // One write, so that no other line gets into the middle of it.
    if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
        tracing::warn!(%error, "figures could not be written");
    }
}

/// The line, with its end.
fn line(function: &str, at: Timestamp, figures: &[(Metric, u64)]) -> String {
    let definitions: Vec<Value> =
        figures.iter().map(|(metric, _)| json!({"Name": metric.as_str(), "Unit": "Count"})).collect();
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": definitions});
    let mut members = Map::new();
    let about = json!({"Timestamp": at.as_millis(), "CloudWatchMetrics": [directive]});
    members.insert("_aws".to_owned(), about);
    members.insert(DIMENSION.to_owned(), function.into());
    members.extend(figures.iter().map(|(metric, value)| (metric.as_str().to_owned(), (*value).into())));
    format!("{}\n", Value::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the specification's schema asks of a line: every dimension and every figure that is announced is a member
    /// of the root, a text and a number.
    #[test]
    fn a_line_is_of_the_embedded_metric_format() {
        for figures in [vec![(Metric::OrdersConfirmed, 1)], Metric::ALL.iter().map(|m| (*m, 0)).collect()] {
            let line = line("erp-sales-api", Timestamp::from_millis(1_700_000_000_123), &figures);
            assert!(line.ends_with('\n') && line.trim_end().lines().count() == 1, "one line: {line}");
            let root: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(root["_aws"]["Timestamp"], 1_700_000_000_123_i64, "in milliseconds");
            let [directive] = root["_aws"]["CloudWatchMetrics"].as_array().unwrap().as_slice() else {
                panic!("one directive: {line}");
            };
            assert_eq!(directive["Namespace"], NAMESPACE);
            for name in
                directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap())
            {
                assert!(root[name.as_str().unwrap()].is_string(), "{name} in {line}");
            }
            let metrics = directive["Metrics"].as_array().unwrap();
            assert!((1..=100).contains(&metrics.len()), "the format takes a hundred: {line}");
            for (metric, (name, value)) in metrics.iter().zip(&figures) {
                assert_eq!(*metric, json!({"Name": name.as_str(), "Unit": "Count"}));
                assert_eq!(root[name.as_str()], *value);
            }
        }
    }
}
