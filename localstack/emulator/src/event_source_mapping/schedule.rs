//! A function every so often. <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html>

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

/// A schedule. A run that takes longer than the time between two makes the next one late; they never overlap.
pub(super) struct Schedule {
    pub(super) function: String,
    /// Of the rule.
    pub(super) name: String,
    pub(super) every: Duration,
    pub(super) input: Option<String>,
    pub(super) functions: Arc<dyn Invoke>,
    pub(super) in_flight: InFlight,
}

impl Schedule {
    /// Runs until it is told to stop; the first run comes after one interval. What fails is logged and not tried again.
    pub(super) async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(self.every)).await.is_some() {
            let busy = self.in_flight.begin();
            let event = self.input.clone().unwrap_or_else(|| self.event());
            match self.functions.invoke(&self.function, Bytes::from(event)).await {
                Ok(Invocation { function_error: None, .. }) => {}
                Ok(failed) => tracing::error!(
                    schedule = self.name,
                    error = %String::from_utf8_lossy(&failed.payload),
                    "a scheduled run failed"
                ),
                Err(error) => tracing::error!(schedule = self.name, %error, "a scheduled run did not happen"),
            }
            drop(busy);
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
