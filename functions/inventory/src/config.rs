//! Settings and wiring. `TABLE_NAME` is the inventory table.

use std::sync::Arc;

use erp_aws::answers::Answers;
use erp_aws::{ConfigError, Table, clients, config};
use erp_domain::ports::{RandomIds, SystemClock};
use erp_http::{App, idempotency};

use crate::allocations::Allocations;
use crate::api;
use crate::items::Items;
use crate::store::DynamoStore;

/// The store, with its connection made.
///
/// # Errors
/// When a setting is missing.
pub async fn store() -> Result<DynamoStore, ConfigError> {
    let name = config::required("TABLE_NAME")?;
    let client = aws_sdk_dynamodb::Client::new(&clients::sdk_config().await);
    let table = Table::new(client, name);
    clients::warm(&table).await;
    Ok(DynamoStore::new(table))
}

/// The service behind the API, ready to run.
///
/// # Errors
/// When a setting is missing.
pub async fn app() -> Result<App, ConfigError> {
    Ok(assemble(store().await?))
}

/// The service behind the API, over a store.
pub fn assemble(store: DynamoStore) -> App {
    let clock = Arc::new(SystemClock);
    let answers = Arc::new(Answers { table: store.table().clone(), clock: clock.clone() });
    let items = Items { store: Arc::new(store), clock: clock.clone(), ids: Arc::new(RandomIds) };
    let (routes, _) = api::router(items).split_for_parts();
    let layer = idempotency::Layer { answers, clock: clock.clone(), pepper: Arc::new([]) };
    App::new(routes, clock).idempotent(layer)
}

/// What the worker works with.
///
/// # Errors
/// When a setting is missing.
pub async fn allocations() -> Result<Allocations, ConfigError> {
    let store = Arc::new(store().await?);
    Ok(Allocations { store, clock: Arc::new(SystemClock), ids: Arc::new(RandomIds) })
}
