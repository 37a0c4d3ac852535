//! Business metrics in the CloudWatch embedded metric format: one JSON line in the function's log, without a call
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! A metric counts commits, not attempts; those of messages and of the reconciliation are the exceptions. Its one
//! dimension is the function name, which Lambda sets and which keeps two stacks of one account apart. Outside
//! Lambda nothing is written.

use std::io::Write;

use erp_domain::time::SystemClock;
use erp_domain::{Clock, Settings, Timestamp};
use serde_json::{Value, json};

/// CloudWatch namespace.
pub const NAMESPACE: &str = "ErpOrderPlatform";
/// The only dimension.
pub const DIMENSION: &str = "FunctionName";

/// A business metric. All are counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
pub enum Metric {
    /// Draft orders saved.
    OrdersCreated,
    /// Sales orders confirmed.
    OrdersConfirmed,
    /// Purchase orders received.
    OrdersReceived,
    /// Orders paid.
    OrdersPaid,
    /// Orders cancelled.
    OrdersCancelled,
    /// Sales orders whose stock was allocated.
    OrdersAllocated,
    /// Sales orders put into the back-order queue.
    OrdersBackordered,
    /// Sales orders whose allocation was released.
    OrdersReleased,
    /// Changes of the stock of one item.
    StockMovements,
    /// Events published to SNS.
    EventsPublished,
    /// Redelivered events that had been applied before.
    EventsDeduplicated,
    /// Messages or events that a function returned as failed, one by one, in a successful invocation.
    MessagesFailed,
    /// Messages of a batch whose first receive was more than 15 minutes ago.
    MessagesOverdue,
    /// Events that the sweep published because the relay had not.
    OutboxRepublished,
    /// Checks of the reconciliation: changes from the streams, and pending checks.
    ReconciliationChecked,
    /// Open findings of the reconciliation.
    ReconciliationMismatches,
    /// Hours since the last complete pass of the reconciliation.
    ReconciliationPassAge,
}

impl Metric {
    /// Returns the name in CloudWatch.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Adds 1 to a metric.
pub fn count(metric: Metric) {
    emit(&[(metric, 1)]);
}

/// Writes several metrics on one line. Zero values are written too: they are the heartbeat of a scheduled function.
pub fn emit(metrics: &[(Metric, u64)]) {
    let Some(function) = Settings::from_env().optional("AWS_LAMBDA_FUNCTION_NAME") else { return };
    let line = line(&function, SystemClock.now(), metrics);
    // A single write keeps the line contiguous.
    if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
        tracing::warn!(%error, "metrics could not be written");
    }
}

/// Formats the line, with its line break.
fn line(function: &str, at: Timestamp, metrics: &[(Metric, u64)]) -> String {
    let definitions: Vec<Value> =
        metrics.iter().map(|(metric, _)| json!({"Name": metric.as_str(), "Unit": "Count"})).collect();
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": definitions});
    let about = json!({"Timestamp": at.as_millis(), "CloudWatchMetrics": [directive]});
    let mut line = json!({"_aws": about, DIMENSION: function});
    for (metric, value) in metrics {
        line[metric.as_str()] = json!(value);
    }
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    /// The specification requires a root member for every dimension (a string) and every metric (a number).
    #[test]
    fn a_line_is_of_the_embedded_metric_format() {
        for values in [vec![(Metric::OrdersConfirmed, 1)], Metric::VARIANTS.iter().map(|m| (*m, 0)).collect()]
        {
            let line = line("erp-sales-api", Timestamp::from_millis(1_700_000_000_123), &values);
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
            for (metric, (name, value)) in metrics.iter().zip(&values) {
                assert_eq!(*metric, json!({"Name": name.as_str(), "Unit": "Count"}));
                assert_eq!(root[name.as_str()], *value);
            }
        }
    }
}
