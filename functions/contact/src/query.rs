//! What other services ask.

use std::sync::Arc;

use erp_contracts::StoreError;
use erp_contracts::question::{ContactAnswer, ContactQuestion};
use lambda_runtime::{LambdaEvent, service_fn};

use crate::ports::ContactStore;

/// Answers questions in Lambda until the environment ends.
///
/// # Errors
/// When the runtime cannot go on.
pub async fn run(store: impl ContactStore + 'static) -> Result<(), lambda_runtime::Error> {
    let store: Arc<dyn ContactStore> = Arc::new(store);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<ContactQuestion>| {
        let store = Arc::clone(&store);
        async move { answer(store.as_ref(), event.payload).await.map_err(lambda_runtime::Error::from) }
    }))
    .await
}

/// Whether the contact is there.
///
/// # Errors
/// When the store does not answer: the one who asks must not take that for "no".
pub async fn answer(
    store: &dyn ContactStore,
    question: ContactQuestion,
) -> Result<ContactAnswer, StoreError> {
    let found = store.find(question.kind, question.id).await?;
    Ok(ContactAnswer { exists: found.is_some() })
}
