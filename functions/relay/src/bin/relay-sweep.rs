//! The Lambda that, on a schedule, publishes what the relay never saw.

use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let sweep = &relay::config::sweep().await?;
    lambda_runtime::run(service_fn(async |_: LambdaEvent<serde_json::Value>| {
        sweep.run().await.map_err(Error::from)
    }))
    .await
}
