//! The check as a Lambda. One that is not done when its time is over hands its place to a new invocation of itself,
//! so that the tables may be of any size.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use erp_aws::cause;
use erp_aws::metric::{self, Metric};
use erp_domain::Clock;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::reconcile::{Books, Finding, Progress, Report};

/// What is kept of an invocation's time for looking again and for answering.
const RESERVE: Duration = Duration::from_secs(90);
/// The most invocations of one check; more would say that it runs in circles.
const MOST_PARTS: u32 = 100;

/// The check with what it needs to go on.
#[derive(Clone)]
pub struct Scheduled {
    /// What is checked.
    pub books: Books,
    /// Invokes itself.
    pub lambda: aws_sdk_lambda::Client,
    /// Tells how much time is left.
    pub clock: Arc<dyn Clock>,
}

/// What starts it: a schedule, or the part before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Request {
    /// Where the part before stopped; a schedule says nothing of this.
    #[serde(default)]
    pub resume: Option<Progress>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Whether everything has been looked at; if not, another invocation goes on.
    pub complete: bool,
    /// What was found.
    #[serde(flatten)]
    pub report: Report,
}

/// Checks in Lambda until the environment ends.
///
/// # Errors
/// When the runtime cannot go on.
pub async fn run(scheduled: Scheduled) -> Result<(), Error> {
    let scheduled = &scheduled;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Request>| {
        // On the heap: everything that it waits for lies in this one future.
        Box::pin(scheduled.check(event.payload, &event.context)).await
    }))
    .await
}

impl Scheduled {
    /// Checks the books, or a part of them, and starts the next part.
    ///
    /// # Errors
    /// When a table does not answer, or the next part cannot be started.
    pub async fn check(&self, request: Request, context: &Context) -> Result<Outcome, Error> {
        let progress = request.resume.unwrap_or_default();
        let left = i64::try_from(context.deadline).unwrap_or(i64::MAX) - self.clock.now().as_millis();
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).saturating_sub(RESERVE);
        let part = progress.part;
        let checked = self.books.check(progress, Some(Instant::now() + left)).await?;
        let report = checked.report;
        for Finding { kind, subject, detail } in &report.findings {
            tracing::error!(kind = kind.as_str(), subject, detail, "the books do not agree");
        }
        tracing::info!(
            part,
            items = report.items,
            sales_orders = report.sales_orders,
            purchase_orders = report.purchase_orders,
            mismatches = report.mismatches,
            in_flight = report.in_flight,
            "the books were checked"
        );
        metric::emit(&[
            (Metric::ReconcileChecked, report.checked()),
            (Metric::ReconcileMismatches, report.mismatches),
        ]);
        let complete = checked.resume.is_none();
        if let Some(progress) = checked.resume {
            self.go_on(progress, &context.invoked_function_arn).await?;
        }
        Ok(Outcome { complete, report })
    }

    /// Hands over to the alias that it was invoked by, which the ARN ends in.
    async fn go_on(&self, progress: Progress, function: &str) -> Result<(), Error> {
        if progress.part >= MOST_PARTS {
            return Err(format!("{MOST_PARTS} invocations were not enough").into());
        }
        let request = serde_json::to_vec(&Request { resume: Some(progress) })?;
        let invoke = self.lambda.invoke().function_name(function).invocation_type(InvocationType::Event);
        invoke.payload(Blob::new(request)).send().await.map_err(|e| cause(&e))?;
        Ok(())
    }
}
