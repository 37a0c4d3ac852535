//! The `authorizer` function: see the library.

use authorizer::{Request, authorize, config};
use erp_domain::ports::SystemClock;
use lambda_runtime::{Error, LambdaEvent, service_fn};

// One request at a time, and nothing to wait for: a second thread would only be started for nothing.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let tokens = &config::tokens(|name| std::env::var(name).ok())?;
    let handler =
        |event: LambdaEvent<Request>| async move { authorize(tokens, &SystemClock, &event.payload) };
    lambda_runtime::run(service_fn(handler)).await
}
