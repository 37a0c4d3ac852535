//! Invokes a function at a fixed interval.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html>

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::activity::InFlight;
use crate::deployment::{ACCOUNT, REGION};
use crate::lambda::clock::timestamp;
use crate::lambda::{Invocation, Invoke};

/// A schedule. Runs never overlap: a run longer than the interval delays the next one.
pub(super) struct Schedule {
    pub(super) function: String,
    /// Name of the rule.
    pub(super) name: String,
    pub(super) every: Duration,
    pub(super) input: Option<String>,
    pub(super) functions: Arc<dyn Invoke>,
    pub(super) in_flight: InFlight,
}

impl Schedule {
    /// Invokes the function until `stop`, first after one interval. Failures are logged and not retried.
    pub(super) async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(self.every)).await.is_some() {
            let in_flight = self.in_flight.begin();
            let event = self.input.clone().unwrap_or_else(|| self.event());
            match self.functions.invoke(&self.function, Bytes::from(event)).await {
                Ok(Invocation { function_error: None, .. }) => {}
                Ok(failed) => tracing::error!(
                    schedule = self.name,
                    error = %String::from_utf8_lossy(&failed.payload),
                    "a scheduled invocation failed"
                ),
                Err(error) => {
                    tracing::error!(schedule = self.name, %error, "a scheduled invocation was not started")
                }
            }
            drop(in_flight);
        }
    }

    fn event(&self) -> String {
        json!({
            "version": "0",
            "id": Uuid::new_v4(),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT,
            "time": timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": REGION,
            "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{}", self.name)],
            "detail": {},
        })
        .to_string()
    }
}
