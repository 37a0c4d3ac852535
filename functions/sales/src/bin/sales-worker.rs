//! The function that writes inventory's decisions into sales orders.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let (store, queue) = sales::config::worker().await?;
    sales::worker::run(store, queue).await
}
