//! What other services ask.

use std::sync::Arc;

use erp_contracts::StoreError;
use erp_contracts::question::{ItemFacts, ItemsAnswer, ItemsQuestion};
use lambda_runtime::{LambdaEvent, service_fn};

use crate::ports::ItemStore;

/// Answers questions in Lambda until the environment ends.
///
/// # Errors
/// When the runtime cannot go on.
pub async fn run(store: impl ItemStore + 'static) -> Result<(), lambda_runtime::Error> {
    let store: Arc<dyn ItemStore> = Arc::new(store);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<ItemsQuestion>| {
        let store = Arc::clone(&store);
        async move { answer(store.as_ref(), event.payload).await.map_err(lambda_runtime::Error::from) }
    }))
    .await
}

/// What is known of the items that are there.
///
/// # Errors
/// When the store does not answer: the one who asks must not take that for "no".
pub async fn answer(store: &dyn ItemStore, question: ItemsQuestion) -> Result<ItemsAnswer, StoreError> {
    let mut ids = question.items;
    ids.sort_unstable();
    ids.dedup();
    let found = store.find_all(&ids).await?;
    let facts = found.into_iter().map(|(item, stock)| ItemFacts {
        id: item.id,
        unit_price: item.details.unit_price,
        quantity: stock.quantity.get(),
    });
    Ok(ItemsAnswer { items: facts.collect() })
}
