//! The function that writes inventory's decisions into sales orders.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    sales::worker::run(sales::config::store().await?).await
}
