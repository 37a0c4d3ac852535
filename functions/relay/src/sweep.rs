//! The sweep: what stands in the `outbox` index for longer than it should was never published. A stream keeps its
//! records for a day; the index keeps its rows until they are out.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use erp_aws::Table;
use erp_aws::metric::{self, Metric};
use erp_aws::outbox::{self, outbox_partitions};
use erp_aws::table::Row;
use erp_contracts::StoreError;
use erp_domain::{Clock, Timestamp};
use std::sync::Arc;

use crate::Relay;
use crate::record::Outgoing;

/// Seconds that the stream and the relay get before the sweep takes over.
pub const MIN_AGE_SECONDS: i64 = 300;

/// Where rows wait to be published.
#[async_trait]
pub trait Unpublished: Send + Sync {
    /// The tables there are.
    fn tables(&self) -> &[String];

    /// Rows of one partition of a table's outbox index that came before `before`, oldest first, behind the row
    /// `after`, and the row to go on behind, if there may be more.
    async fn older(
        &self,
        table: &str,
        partition: &str,
        before: Timestamp,
        after: Option<Row>,
    ) -> Result<(Vec<Row>, Option<Row>), StoreError>;
}

/// Publishes what was forgotten.
#[derive(Clone)]
pub struct Sweep {
    /// Publishes, and takes out of the index.
    pub relay: Relay,
    /// Where to look.
    pub unpublished: Arc<dyn Unpublished>,
    /// Tells how old something is.
    pub clock: Arc<dyn Clock>,
}

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Swept {
    /// Rows that stood there.
    pub found: usize,
    /// Rows that could not be read, and need a person.
    pub unreadable: usize,
    /// Whether everything else is out now.
    pub complete: bool,
}

impl Sweep {
    /// Goes through every table once.
    ///
    /// # Errors
    /// When a table does not answer; what was published so far is out.
    pub async fn run(&self) -> Result<Swept, StoreError> {
        let before = self.clock.now().plus_seconds(-MIN_AGE_SECONDS);
        let mut swept = Swept { complete: true, ..Swept::default() };
        for table in self.unpublished.tables() {
            for partition in outbox_partitions() {
                let mut after = None;
                loop {
                    let (rows, more) = self.unpublished.older(table, &partition, before, after).await?;
                    swept.found += rows.len();
                    let mut outgoing = Vec::new();
                    for row in rows {
                        match Outgoing::from_row(table, row) {
                            Ok(found) => outgoing.push(found),
                            Err(error) => {
                                swept.unreadable += 1;
                                tracing::error!(table, %error, "a row in the outbox cannot be published");
                            }
                        }
                    }
                    swept.complete &= self.relay.publish(&outgoing).await.is_none();
                    after = more;
                    if after.is_none() {
                        break;
                    }
                }
            }
        }
        metric::emit(&[(Metric::EventsSwept, swept.found as u64)]);
        if swept.found > 0 {
            tracing::warn!(
                found = swept.found,
                unreadable = swept.unreadable,
                "the sweep found unpublished events"
            );
        }
        Ok(swept)
    }
}

/// The tables themselves.
pub struct DynamoUnpublished {
    /// The client.
    pub client: Client,
    /// Their names.
    pub tables: Vec<String>,
}

#[async_trait]
impl Unpublished for DynamoUnpublished {
    fn tables(&self) -> &[String] {
        &self.tables
    }

    async fn older(
        &self,
        table: &str,
        partition: &str,
        before: Timestamp,
        after: Option<Row>,
    ) -> Result<(Vec<Row>, Option<Row>), StoreError> {
        outbox::unpublished(&Table::new(self.client.clone(), table), partition, before, after).await
    }
}
