//! Settings of the scheduled reconciliation.
//!
//! ```text
//! INVENTORY_TABLE, SALES_TABLE, PURCHASE_TABLE  names of the tables to reconcile
//! OUTBOX_TABLES                                 comma-separated names of all tables with an outbox
//! ```

use std::sync::Arc;

use erp_aws::{Table, clients};
use erp_domain::time::SystemClock;
use erp_domain::{SettingError, Settings};

use crate::reconcile::{GracePeriod, Ledger};
use crate::scheduled::Scheduled;

/// The tables of a deployment.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Items, stock and allocations.
    pub inventory: Table,
    /// Sales orders.
    pub sales: Table,
    /// Purchase orders.
    pub purchase: Table,
    /// Every table with an outbox, these three included.
    pub outboxes: Vec<Table>,
}

impl Tables {
    /// Returns the tables of a stack, named as in the template.
    pub fn of_stack(client: &aws_sdk_dynamodb::Client, stack: &str) -> Self {
        let table = |context: &str| Table::new(client.clone(), format!("{stack}-{context}"));
        Self {
            inventory: table("inventory"),
            sales: table("sales"),
            purchase: table("purchase"),
            outboxes: ["auth", "contact", "inventory", "sales", "purchase"].map(table).to_vec(),
        }
    }

    /// Creates a read-only view of the tables.
    pub fn ledger(self, grace_period: GracePeriod) -> Ledger {
        Ledger {
            inventory: inventory::ledger::LedgerReader::new(self.inventory),
            sales: sales::ledger::OrderReader::new(self.sales),
            purchase: purchase::ledger::OrderReader::new(self.purchase),
            outboxes: self.outboxes,
            clock: Arc::new(SystemClock),
            grace_period,
        }
    }
}

/// Creates the scheduled reconciliation from the environment.
pub async fn scheduled() -> Result<Scheduled, SettingError> {
    let settings = Settings::from_env();
    let sdk = clients::sdk_config().await;
    let client = aws_sdk_dynamodb::Client::new(&sdk);
    let table = |name: String| Table::new(client.clone(), name);
    let tables = Tables {
        inventory: table(settings.required("INVENTORY_TABLE")?),
        sales: table(settings.required("SALES_TABLE")?),
        purchase: table(settings.required("PURCHASE_TABLE")?),
        outboxes: settings.list("OUTBOX_TABLES")?.into_iter().map(table).collect(),
    };
    let ledger = tables.ledger(GracePeriod::default());
    Ok(Scheduled { ledger, lambda: aws_sdk_lambda::Client::new(&sdk) })
}
