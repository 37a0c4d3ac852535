//! The Lambda that other services query for price and stock of items.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    inventory::query::run(inventory::config::store().await?).await
}
