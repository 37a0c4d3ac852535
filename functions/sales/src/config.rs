//! Settings and construction. `TABLE_NAME` is the sales table, `CONTACT_QUERY_FUNCTION` and
//! `INVENTORY_QUERY_FUNCTION` are the functions to query, `CURRENCY` is the currency of new orders, `QUEUE_URL` and
//! `DEAD_LETTER_QUEUE_URL` are the queues of the worker.

use std::sync::Arc;

use erp_aws::batch::WorkQueue;
use erp_aws::clients;
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{SettingError, Settings};
use erp_http::App;
use erp_orders::LambdaUpstreams;
use erp_service::Committer;

use crate::api::{self, Api};
use crate::service::SalesOrders;
use crate::store::SalesStore;

/// Builds the service from the environment.
pub async fn app() -> Result<App, SettingError> {
    let settings = Settings::from_env();
    let currency = settings.parse("CURRENCY")?;
    let sdk = clients::sdk_config().await;
    let upstreams = Arc::new(LambdaUpstreams::from_settings(&settings, &sdk)?);
    let (table, ()) = tokio::join!(clients::table_with_lists(&settings, &sdk), upstreams.preconnect());
    let store = SalesStore::new(table?);
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    Ok(build(SalesOrders { store, upstreams, clock, ids, currency }))
}

/// Opens the store and the queue of the worker.
pub async fn worker() -> Result<(SalesStore, WorkQueue), SettingError> {
    let (settings, sdk) = (Settings::from_env(), clients::sdk_config().await);
    let (table, queue) = tokio::join!(clients::table(&settings, &sdk), clients::work_queue(&settings, &sdk));
    Ok((SalesStore::new(table?), queue?))
}

/// Builds the service behind the API.
pub fn build(orders: SalesOrders) -> App {
    // Bodies contain no secret, so the fingerprints of requests need no pepper.
    let committer = Committer::new(orders.store.table().clone(), orders.clock.clone(), Arc::new([]));
    let clock = orders.clock.clone();
    let (routes, _) = api::router(Api { orders, committer }).split_for_parts();
    App::new(routes, clock)
}
