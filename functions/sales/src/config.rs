//! Settings and wiring: `erp_orders::config` says which.

use erp_aws::ConfigError;
use erp_domain::order::OrderKind;
use erp_http::App;
use erp_orders::store::DynamoStore;

use crate::api;

/// The service, ready to run.
///
/// # Errors
/// When a setting is missing or makes no sense.
pub async fn app() -> Result<App, ConfigError> {
    Ok(erp_orders::config::service(OrderKind::Sales).await?.app(api::router))
}

/// What the worker writes to.
///
/// # Errors
/// When a setting is missing.
pub async fn store() -> Result<DynamoStore, ConfigError> {
    erp_orders::config::store(OrderKind::Sales).await
}
