//! Settings and dependencies. `TABLE_NAME` is the inventory table, `QUEUE_URL` and `DEAD_LETTER_QUEUE_URL` are
//! the queues of the worker.

use std::sync::Arc;

use erp_aws::batch::WorkQueue;
use erp_aws::clients;
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids, SettingError, Settings};
use erp_http::App;
use erp_service::Committer;

use crate::api;
use crate::service::{Allocations, BACKORDER_CALLS, Items};
use crate::store::InventoryStore;

/// Opens the inventory table for queries.
pub async fn store() -> Result<InventoryStore, SettingError> {
    let sdk = clients::sdk_config().await;
    Ok(InventoryStore::new(clients::table(&Settings::from_env(), &sdk).await?))
}

/// Creates the service behind the API from the environment.
pub async fn app() -> Result<App, SettingError> {
    let sdk = clients::sdk_config().await;
    let store = InventoryStore::new(clients::table_with_lists(&Settings::from_env(), &sdk).await?);
    Ok(build(store, Arc::new(SystemClock), Arc::new(RandomIds)))
}

/// Creates the service behind the API.
pub fn build(store: InventoryStore, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> App {
    // Requests contain no secrets, so their fingerprints need no pepper.
    let committer = Committer::new(store.table().clone(), clock.clone(), Arc::new([]));
    let (routes, _) = api::router(Items { store, clock: clock.clone(), ids }, committer).split_for_parts();
    App::new(routes, clock)
}

/// Creates the use cases of the worker and its queue from the environment.
pub async fn worker() -> Result<(Allocations, WorkQueue), SettingError> {
    let (settings, sdk) = (Settings::from_env(), clients::sdk_config().await);
    let (table, queue) = tokio::join!(clients::table(&settings, &sdk), clients::work_queue(&settings, &sdk));
    let store = InventoryStore::new(table?);
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    Ok((Allocations { store, clock, ids, backorder_calls: BACKORDER_CALLS }, queue?))
}
