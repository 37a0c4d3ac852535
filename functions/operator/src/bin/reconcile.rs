//! The scheduled Lambda function that reconciles stock and orders.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    operator::scheduled::run(operator::config::scheduled().await?).await
}
