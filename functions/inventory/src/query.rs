//! Synchronous queries of other contexts.

use erp_aws::StoreError;
use erp_contracts::query::{ItemSnapshot, ItemsQuery, ItemsQueryResponse};
use lambda_runtime::{LambdaEvent, service_fn};

use crate::store::InventoryStore;

/// Runs in Lambda until the environment ends.
pub async fn run(store: InventoryStore) -> Result<(), lambda_runtime::Error> {
    let store = &store;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<ItemsQuery>| {
        query_items(store, event.payload).await.map_err(lambda_runtime::Error::from)
    }))
    .await
}

/// Returns price and stock of the items that exist. An error does not mean that an item does not exist.
pub async fn query_items(
    store: &InventoryStore,
    query: ItemsQuery,
) -> Result<ItemsQueryResponse, StoreError> {
    let mut ids = query.items;
    ids.sort_unstable();
    ids.dedup();
    let found = store.find_all(&ids).await?;
    let snapshots = found.into_iter().map(|(item, stock)| ItemSnapshot {
        id: item.id(),
        unit_price: item.data().unit_price,
        quantity: stock.quantity().get(),
    });
    Ok(ItemsQueryResponse { items: snapshots.collect() })
}
