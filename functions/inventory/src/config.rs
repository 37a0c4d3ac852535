//! Settings and dependencies. `TABLE_NAME` is the inventory table.

use std::sync::Arc;

use erp_aws::clients;
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids, SettingError, Settings};
use erp_http::App;
use erp_service::Committer;

use crate::api;
use crate::service::{Allocations, Items};
use crate::store::InventoryStore;

/// Opens the inventory table and connects to DynamoDB.
pub async fn store() -> Result<InventoryStore, SettingError> {
    let sdk = clients::sdk_config().await;
    Ok(InventoryStore::new(clients::table(&Settings::from_env(), &sdk).await?))
}

/// Creates the service behind the API from the environment.
pub async fn app() -> Result<App, SettingError> {
    Ok(build(store().await?, Arc::new(SystemClock), Arc::new(RandomIds)))
}

/// Creates the service behind the API.
pub fn build(store: InventoryStore, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> App {
    // Requests contain no secrets, so their fingerprints need no pepper.
    let committer = Committer::new(store.table().clone(), clock.clone(), Arc::new([]));
    let (routes, _) = api::router(Items { store, clock: clock.clone(), ids }, committer).split_for_parts();
    App::new(routes, clock)
}

/// Creates the use cases of the worker from the environment.
pub async fn allocations() -> Result<Allocations, SettingError> {
    Ok(Allocations { store: store().await?, clock: Arc::new(SystemClock), ids: Arc::new(RandomIds) })
}
