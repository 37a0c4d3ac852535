//! Settings and construction. `TABLE_NAME` is the purchase table, `CONTACT_QUERY_FUNCTION` and
//! `INVENTORY_QUERY_FUNCTION` are the functions to query, `CURRENCY` is the currency of new orders.

use std::sync::Arc;

use erp_aws::{Table, clients};
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids, SettingError, Settings};
use erp_http::App;
use erp_orders::{Currency, LambdaUpstreams, Upstreams};
use erp_service::Committer;

use crate::api::{self, Api};
use crate::service::PurchaseOrders;
use crate::store::PurchaseStore;

/// What the service depends on besides its table.
pub struct AppDependencies {
    /// Contact and inventory.
    pub upstreams: Arc<dyn Upstreams>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn Ids>,
    /// The currency of new orders.
    pub currency: Currency,
}

/// Builds the service from the environment.
///
/// # Errors
/// If a setting is missing or invalid.
pub async fn app() -> Result<App, SettingError> {
    let settings = Settings::from_env();
    let currency = settings.parse("CURRENCY")?;
    let sdk = clients::sdk_config().await;
    let upstreams = Arc::new(LambdaUpstreams {
        contact: clients::function(&settings, &sdk, "CONTACT_QUERY_FUNCTION")?,
        inventory: clients::function(&settings, &sdk, "INVENTORY_QUERY_FUNCTION")?,
    });
    let table = clients::table(&settings, &sdk).await?;
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    Ok(build(table, AppDependencies { upstreams, clock, ids, currency }))
}

/// Builds the service over a table.
pub fn build(table: Table, dependencies: AppDependencies) -> App {
    let AppDependencies { upstreams, clock, ids, currency } = dependencies;
    // Bodies contain no secret, so the fingerprints of requests need no pepper.
    let committer = Committer::new(table.clone(), clock.clone(), Arc::new([]));
    let store = PurchaseStore::new(table);
    let orders = PurchaseOrders { store, upstreams, clock: clock.clone(), ids, currency };
    let (routes, _) = api::router(Api { orders, committer }).split_for_parts();
    App::new(routes, clock)
}
