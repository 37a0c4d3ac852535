//! The Lambda that other services ask which items are there, at what price, and how many.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    inventory::query::run(inventory::config::store().await?).await
}
