//! The query of other contexts: does a contact exist?

use erp_aws::StoreError;
use erp_contracts::query::{PartyQuery, PartyQueryResponse};
use lambda_runtime::{LambdaEvent, service_fn};

use crate::store::ContactStore;

/// Responds to queries in Lambda until the environment ends.
pub async fn run(store: ContactStore) -> Result<(), lambda_runtime::Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<PartyQuery>| {
        respond(&store, event.payload).await.map_err(lambda_runtime::Error::from)
    }))
    .await
}

/// Looks up a contact. The caller must not take an error for "does not exist".
pub async fn respond(store: &ContactStore, query: PartyQuery) -> Result<PartyQueryResponse, StoreError> {
    let contact = store.find(query.kind, query.id).await?;
    Ok(PartyQueryResponse { exists: contact.is_some() })
}
