//! The Lambda function between the streams of the tables and the SNS topics.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    relay::run(relay::config::relay().await?).await
}
