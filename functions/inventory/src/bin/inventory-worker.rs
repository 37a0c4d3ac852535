//! The Lambda behind `stock-queue`, which allocates stock to orders.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let (allocations, queue) = inventory::config::worker().await?;
    inventory::worker::run(allocations, queue).await
}
