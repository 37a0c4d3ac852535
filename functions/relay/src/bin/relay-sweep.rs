//! The scheduled Lambda function that publishes events that the relay has missed.

use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let sweep = &relay::config::sweep().await?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<serde_json::Value>| {
        let deadline = erp_aws::deadline::of_invocation(event.context.deadline);
        sweep.run(deadline).await.map_err(|error| Error::from(erp_aws::error_chain(&error)))
    }))
    .await
}
