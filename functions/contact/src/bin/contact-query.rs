//! The Lambda that other services ask whether a customer or vendor is there.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    contact::query::run(contact::config::store().await?).await
}
