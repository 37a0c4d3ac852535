//! Queries to contact and inventory: one invocation each, side by side, however many lines an order has.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use erp_aws::clients;
use erp_aws::function_client::{FunctionClient, InvokeError};
use erp_contracts::query::{ItemSnapshot, ItemsQuery, ItemsQueryResponse, PartyQuery, PartyQueryResponse};
use erp_domain::{ItemId, PartyId, PartyKind, SettingError, Settings};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// Price and stock of the items that exist.
pub type ItemSnapshots = BTreeMap<ItemId, ItemSnapshot>;

/// The other contexts, as an order needs them. An error is never "does not exist".
pub trait Upstreams: Send + Sync {
    /// Returns whether the customer or vendor exists.
    fn party_exists(&self, kind: PartyKind, id: PartyId) -> BoxFuture<'_, Result<bool, InvokeError>>;

    /// Returns the items that exist, with one query.
    fn items(&self, ids: BTreeSet<ItemId>) -> BoxFuture<'_, Result<ItemSnapshots, InvokeError>>;
}

/// The other contexts by Lambda invocation.
pub struct LambdaUpstreams {
    /// The function `contact-query`.
    pub contact: FunctionClient,
    /// The function `inventory-query`.
    pub inventory: FunctionClient,
}

impl LambdaUpstreams {
    /// Reads `CONTACT_QUERY_FUNCTION` and `INVENTORY_QUERY_FUNCTION`.
    pub fn from_settings(settings: &Settings<'_>, sdk: &SdkConfig) -> Result<Self, SettingError> {
        Ok(Self {
            contact: clients::function(settings, sdk, "CONTACT_QUERY_FUNCTION")?,
            inventory: clients::function(settings, sdk, "INVENTORY_QUERY_FUNCTION")?,
        })
    }

    /// Opens the connection of each query: they are sent side by side.
    pub async fn preconnect(&self) {
        tokio::join!(self.contact.preconnect(), self.inventory.preconnect());
    }
}

impl Upstreams for LambdaUpstreams {
    fn party_exists(&self, kind: PartyKind, id: PartyId) -> BoxFuture<'_, Result<bool, InvokeError>> {
        async move {
            let response: PartyQueryResponse = self.contact.invoke(&PartyQuery { kind, id }).await?;
            Ok(response.exists)
        }
        .boxed()
    }

    fn items(&self, ids: BTreeSet<ItemId>) -> BoxFuture<'_, Result<ItemSnapshots, InvokeError>> {
        async move {
            let query = ItemsQuery { items: ids.into_iter().collect() };
            let response: ItemsQueryResponse = self.inventory.invoke(&query).await?;
            Ok(response.items.into_iter().map(|item| (item.id, item)).collect())
        }
        .boxed()
    }
}

/// In-memory customers, vendors and items.
#[cfg(feature = "testing")]
pub mod testing {
    use std::future::ready;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use erp_domain::Money;

    use super::*;

    /// Stands in for contact and inventory.
    #[derive(Debug, Default)]
    pub struct FakeUpstreams(Mutex<State>);

    #[derive(Debug, Default)]
    struct State {
        parties: BTreeSet<(&'static str, PartyId)>,
        items: ItemSnapshots,
        down: bool,
        queries: usize,
    }

    impl FakeUpstreams {
        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Adds a customer or vendor.
        pub fn add_party(&self, kind: PartyKind, id: PartyId) {
            self.state().parties.insert((kind.as_str(), id));
        }

        /// Removes a customer or vendor.
        pub fn remove_party(&self, kind: PartyKind, id: PartyId) {
            self.state().parties.remove(&(kind.as_str(), id));
        }

        /// Adds or replaces an item.
        pub fn add_item(&self, id: ItemId, unit_price: Money, quantity: i64) {
            self.state().items.insert(id, ItemSnapshot { id, unit_price, quantity });
        }

        /// Makes every query fail, or succeed again.
        pub fn set_down(&self, down: bool) {
            self.state().down = down;
        }

        /// Returns the number of queries so far.
        pub fn queries(&self) -> usize {
            self.state().queries
        }

        fn query<T>(&self, respond: impl FnOnce(&State) -> T) -> Result<T, InvokeError> {
            let mut state = self.state();
            state.queries += 1;
            if state.down {
                return Err(InvokeError::Failed { function: "fake".to_owned(), reason: "down".to_owned() });
            }
            Ok(respond(&state))
        }
    }

    impl Upstreams for FakeUpstreams {
        fn party_exists(&self, kind: PartyKind, id: PartyId) -> BoxFuture<'_, Result<bool, InvokeError>> {
            ready(self.query(|state| state.parties.contains(&(kind.as_str(), id)))).boxed()
        }

        fn items(&self, ids: BTreeSet<ItemId>) -> BoxFuture<'_, Result<ItemSnapshots, InvokeError>> {
            let found = self.query(|state| {
                let found = state.items.iter().filter(|(id, _)| ids.contains(id));
                found.map(|(id, item)| (*id, item.clone())).collect()
            });
            ready(found).boxed()
        }
    }
}
