//! Settings and wiring of the scheduled check. `INVENTORY_TABLE`, `SALES_TABLE` and `PURCHASE_TABLE` are whose books
//! are checked, `OUTBOX_TABLES` names the tables whose outboxes are, with commas between.

use std::sync::Arc;

use erp_aws::{ConfigError, Table, clients, config};
use erp_domain::order::OrderKind;
use erp_domain::ports::SystemClock;

use crate::reconcile::{Books, Patience};
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
    /// Every table with an outbox, these three among them.
    pub outboxes: Vec<Table>,
}

impl Tables {
    /// The tables of a stack, by the names that the template gives them.
    pub fn of_stack(client: &aws_sdk_dynamodb::Client, stack: &str) -> Self {
        let table = |service: &str| Table::new(client.clone(), format!("{stack}-{service}"));
        Self {
            inventory: table("inventory"),
            sales: table("sales"),
            purchase: table("purchase"),
            outboxes: ["auth", "contact", "inventory", "sales", "purchase"].map(table).to_vec(),
        }
    }

    /// The books in them.
    pub fn books(self, patience: Patience) -> Books {
        Books {
            inventory: Arc::new(inventory::store::DynamoStore::new(self.inventory)),
            sales: Arc::new(erp_orders::store::DynamoStore::new(self.sales, OrderKind::Sales)),
            purchase: Arc::new(erp_orders::store::DynamoStore::new(self.purchase, OrderKind::Purchase)),
            outboxes: self.outboxes,
            clock: Arc::new(SystemClock),
            patience,
        }
    }
}

/// The scheduled check, ready to run.
///
/// # Errors
/// When a setting is missing.
pub async fn scheduled() -> Result<Scheduled, ConfigError> {
    let names = [
        config::required("INVENTORY_TABLE")?,
        config::required("SALES_TABLE")?,
        config::required("PURCHASE_TABLE")?,
    ];
    let outboxes = config::required("OUTBOX_TABLES")?;
    let sdk = clients::sdk_config().await;
    let client = aws_sdk_dynamodb::Client::new(&sdk);
    let table = |name: &str| Table::new(client.clone(), name);
    let [inventory, sales, purchase] = names.map(|name| table(&name));
    let outboxes = outboxes.split(',').map(table).collect();
    let tables = Tables { inventory, sales, purchase, outboxes };
    Ok(Scheduled {
        books: tables.books(Patience::default()),
        lambda: aws_sdk_lambda::Client::new(&sdk),
        clock: Arc::new(SystemClock),
    })
}
