//! Settings and construction. `TABLE_NAME` is the contact table.

use std::sync::Arc;

use erp_aws::clients;
use erp_domain::time::{RandomIds, SystemClock};
use erp_domain::{Clock, Ids, SettingError, Settings};
use erp_http::App;
use erp_service::Committer;

use crate::api;
use crate::service::Contacts;
use crate::store::ContactStore;

/// Opens the store of the queries.
pub async fn store() -> Result<ContactStore, SettingError> {
    let sdk = clients::sdk_config().await;
    Ok(ContactStore::new(clients::table(&Settings::from_env(), &sdk).await?))
}

/// Builds the service from the environment.
pub async fn app() -> Result<App, SettingError> {
    let sdk = clients::sdk_config().await;
    let store = ContactStore::new(clients::table_with_lists(&Settings::from_env(), &sdk).await?);
    Ok(build(store, Arc::new(SystemClock), Arc::new(RandomIds)))
}

/// Builds the service over a store.
pub fn build(store: ContactStore, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> App {
    // Bodies contain no secret, so the fingerprints of requests need no pepper.
    let committer = Committer::new(store.table().clone(), clock.clone(), Arc::new([]));
    let contacts = Contacts { store, clock: clock.clone(), ids };
    let (routes, _) = api::router(contacts, committer).split_for_parts();
    App::new(routes, clock)
}
