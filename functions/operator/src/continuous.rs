//! The continuous reconciliation: checks each change of stock, movements, allocations and orders from the streams of
//! the tables. What does not agree yet is checked again after the grace period.

use std::collections::BTreeSet;

use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use erp_aws::metric::{self, Metric};
use erp_aws::table::of_stream;
use erp_aws::{StoreError, error_chain};
use lambda_runtime::{LambdaEvent, service_fn};

use crate::reconcile::changes::{Changes, Source};
use crate::reconcile::{Check, Ledger, OrderKind, ReconciliationTable};

/// The continuous reconciliation.
pub struct Continuous {
    /// The tables to reconcile.
    pub ledger: Ledger,
    /// Pending checks and findings.
    pub table: ReconciliationTable,
    /// The name of the inventory table.
    pub inventory_table: String,
    /// The name of the sales table.
    pub sales_table: String,
    /// The name of the purchase table.
    pub purchase_table: String,
}

/// Runs in Lambda until the environment ends.
pub async fn run(continuous: Continuous) -> Result<(), lambda_runtime::Error> {
    let continuous = &continuous;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        // Boxed, because the future is large.
        Ok::<_, lambda_runtime::Error>(Box::pin(continuous.check(event.payload)).await)
    }))
    .await
}

impl Continuous {
    /// Checks a batch of stream records. A row that is wrong is a finding; only a failure of the database fails the
    /// batch, as a whole: Lambda delivers it again.
    pub async fn check(&self, batch: StreamEvent) -> DynamoDbEventResponse {
        let first = batch.records.first().and_then(|record| record.change.sequence_number.clone());
        let count = batch.records.len() as u64;
        let mut response = DynamoDbEventResponse::default();
        if let Err(error) = self.check_records(batch).await {
            tracing::warn!(records = count, error = error_chain(&error), "changes not checked");
            metric::emit(&[(Metric::MessagesFailed, count)]);
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = first;
            response.batch_item_failures.push(failure);
        }
        response
    }

    async fn check_records(&self, batch: StreamEvent) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        for record in batch.records {
            match record.event_source_arn.as_deref().and_then(of_stream).and_then(|table| self.source(table))
            {
                Some(source) => changes.add(source, record),
                None => tracing::error!(arn = record.event_source_arn, "stream of an unknown table"),
            }
        }
        let Changes { checks, findings } = changes;
        let (immediate, mut pending): (BTreeSet<Check>, BTreeSet<Check>) =
            checks.into_iter().partition(Check::is_immediate);
        let outcomes = self.ledger.check(&immediate).await?;
        metric::emit(&[(Metric::ReconciliationChecked, outcomes.len() as u64)]);
        let disagree = outcomes.into_iter().filter(|(_, outcome)| !outcome.agrees());
        pending.extend(disagree.map(|(check, _)| check));
        let now = self.ledger.clock.now();
        self.table.record(findings.into_iter().map(|finding| (finding, None)), now).await?;
        let grace = 60 * i64::from(self.ledger.grace_period.minutes);
        self.table.postpone(pending, now.plus_seconds(grace)).await
    }

    fn source(&self, table: &str) -> Option<Source> {
        match table {
            name if name == self.inventory_table => Some(Source::Inventory),
            name if name == self.sales_table => Some(Source::Orders(OrderKind::Sales)),
            name if name == self.purchase_table => Some(Source::Orders(OrderKind::Purchase)),
            _ => None,
        }
    }
}
