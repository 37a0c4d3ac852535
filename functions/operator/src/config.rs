//! Settings of the reconciliation.
//!
//! ```text
//! INVENTORY_TABLE, SALES_TABLE, PURCHASE_TABLE  names of the tables to reconcile
//! RECONCILIATION_TABLE                          name of the reconciliation's own table
//! OUTBOX_TABLES                                 comma-separated names of all tables with an outbox (scheduled)
//! PASS_INTERVAL_HOURS                           hours between the starts of two passes (scheduled)
//! ```

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use erp_aws::{Table, clients};
use erp_domain::time::SystemClock;
use erp_domain::{SettingError, Settings};

use crate::continuous::Continuous;
use crate::reconcile::{GracePeriod, Ledger, ReconciliationTable};
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
    /// Pending checks, findings and checkpoints of the reconciliation.
    pub reconciliation: Table,
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
            reconciliation: table("reconciliation"),
        }
    }

    /// Creates the continuous reconciliation.
    pub fn continuous(self, grace_period: GracePeriod) -> Continuous {
        Continuous {
            table: ReconciliationTable::new(self.reconciliation.clone()),
            inventory_table: self.inventory.name.clone(),
            sales_table: self.sales.name.clone(),
            purchase_table: self.purchase.name.clone(),
            ledger: self.ledger(grace_period),
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

/// Reads the names of the tables, except those with an outbox.
fn tables(settings: &Settings<'_>, client: &Client) -> Result<Tables, SettingError> {
    let table = |name: &'static str| Ok(Table::new(client.clone(), settings.required(name)?));
    Ok(Tables {
        inventory: table("INVENTORY_TABLE")?,
        sales: table("SALES_TABLE")?,
        purchase: table("PURCHASE_TABLE")?,
        outboxes: Vec::new(),
        reconciliation: table("RECONCILIATION_TABLE")?,
    })
}

/// Creates the scheduled reconciliation from the environment.
pub async fn scheduled() -> Result<Scheduled, SettingError> {
    let settings = Settings::from_env();
    let client = Client::new(&clients::sdk_config().await);
    let mut tables = tables(&settings, &client)?;
    let outboxes = settings.list("OUTBOX_TABLES")?.into_iter();
    tables.outboxes = outboxes.map(|name| Table::new(client.clone(), name)).collect();
    clients::preconnect_table(&tables.reconciliation, 1).await;
    let hours: u64 = settings.parse("PASS_INTERVAL_HOURS")?;
    let table = ReconciliationTable::new(tables.reconciliation.clone());
    let pass_interval = Duration::from_secs(hours * 3600);
    Ok(Scheduled { ledger: tables.ledger(GracePeriod::default()), table, pass_interval })
}

/// Creates the continuous reconciliation from the environment.
pub async fn continuous() -> Result<Continuous, SettingError> {
    let client = Client::new(&clients::sdk_config().await);
    let tables = tables(&Settings::from_env(), &client)?;
    clients::preconnect_table(&tables.reconciliation, 1).await;
    Ok(tables.continuous(GracePeriod::default()))
}
