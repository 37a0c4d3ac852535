//! The Lambda function that checks changes from the streams of the tables.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    operator::continuous::run(operator::config::continuous().await?).await
}
