//! The Lambda that other contexts invoke to look up a customer or vendor.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    contact::query::run(contact::config::store().await?).await
}
