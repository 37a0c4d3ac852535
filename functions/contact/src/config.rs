//! Settings and wiring. `TABLE_NAME` is the contact table.

use std::sync::Arc;

use erp_aws::answers::Answers;
use erp_aws::{ConfigError, Table, clients, config};
use erp_domain::ports::{RandomIds, SystemClock};
use erp_http::{App, idempotency};

use crate::api;
use crate::service::Contacts;
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

/// The service, ready to run.
///
/// # Errors
/// When a setting is missing.
pub async fn app() -> Result<App, ConfigError> {
    Ok(assemble(store().await?))
}

/// The service over a store.
pub fn assemble(store: DynamoStore) -> App {
    let clock = Arc::new(SystemClock);
    let answers = Arc::new(Answers { table: store.table().clone(), clock: clock.clone() });
    let contacts = Contacts { store: Arc::new(store), clock: clock.clone(), ids: Arc::new(RandomIds) };
    let (routes, _) = api::router(contacts).split_for_parts();
    let layer = idempotency::Layer { answers, clock: clock.clone(), pepper: Arc::new([]) };
    App::new(routes, clock).idempotent(layer)
}
