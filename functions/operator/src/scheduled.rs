//! The reconciliation as a Lambda function. Before its time-out it invokes itself to continue, so that the
//! tables may be of any size.

use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use erp_aws::metric::{self, Metric};
use erp_aws::{error_chain, sdk_error_message};
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::reconcile::{Finding, Ledger, Progress, Report};

/// Time of an invocation that is reserved for checking the last candidates again and for the response.
const RESERVE: Duration = Duration::from_secs(90);
/// Maximum invocations of one reconciliation; more would indicate an endless loop.
const MAX_PARTS: u32 = 100;

/// The reconciliation with its continuation.
pub struct Scheduled {
    /// The tables to reconcile.
    pub ledger: Ledger,
    /// Invokes this function again.
    pub lambda: aws_sdk_lambda::Client,
}

/// The payload of an invocation, by the schedule or by the previous part.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Request {
    /// The progress of the previous part; absent in the event of a schedule.
    #[serde(default)]
    pub resume: Option<Progress>,
}

/// The result of an invocation.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Whether the reconciliation is complete; if not, another invocation continues it.
    pub complete: bool,
    /// The findings of this part.
    #[serde(flatten)]
    pub report: Report,
}

/// Runs in Lambda until the environment ends.
pub async fn run(scheduled: Scheduled) -> Result<(), Error> {
    let scheduled = &scheduled;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Request>| {
        // Boxed, because the future is large.
        Box::pin(scheduled.reconcile(event.payload, &event.context)).await
    }))
    .await
}

impl Scheduled {
    /// Reconciles the tables, or a part of them, and invokes the next part.
    pub async fn reconcile(&self, request: Request, context: &Context) -> Result<Outcome, Error> {
        let progress = request.resume.unwrap_or_default();
        let left = i64::try_from(context.deadline).unwrap_or(i64::MAX) - self.ledger.clock.now().as_millis();
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).saturating_sub(RESERVE);
        let part = progress.part;
        let result = self.ledger.reconcile(progress, Some(Instant::now() + left)).await;
        let reconciled = result.map_err(|error| error_chain(&error))?;
        let report = reconciled.report;
        for Finding { kind, subject, detail } in &report.findings {
            tracing::error!(kind = kind.as_str(), subject, detail, "reconciliation mismatch");
        }
        tracing::info!(
            part,
            items = report.items,
            sales_orders = report.sales_orders,
            purchase_orders = report.purchase_orders,
            mismatches = report.mismatches,
            in_flight = report.in_flight,
            "reconciliation part completed"
        );
        metric::emit(&[
            (Metric::ReconciliationChecked, report.checked()),
            (Metric::ReconciliationMismatches, report.mismatches),
        ]);
        let complete = reconciled.resume.is_none();
        if let Some(progress) = reconciled.resume {
            self.invoke_next(progress, &context.invoked_function_arn).await?;
        }
        Ok(Outcome { complete, report })
    }

    /// Invokes the function asynchronously by the ARN of this invocation, which ends in the alias.
    async fn invoke_next(&self, progress: Progress, function: &str) -> Result<(), Error> {
        if progress.part >= MAX_PARTS {
            return Err(format!("not complete after {MAX_PARTS} invocations").into());
        }
        let request = serde_json::to_vec(&Request { resume: Some(progress) })?;
        let invoke = self.lambda.invoke().function_name(function).invocation_type(InvocationType::Event);
        invoke.payload(Blob::new(request)).send().await.map_err(|error| sdk_error_message(&error))?;
        Ok(())
    }
}
