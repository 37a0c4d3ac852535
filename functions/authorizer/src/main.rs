//! The `authorizer` function: see the library.

use authorizer::{Request, authorize};
use erp_auth::Tokens;
use erp_domain::Settings;
use erp_domain::time::SystemClock;
use lambda_runtime::{Error, LambdaEvent, service_fn};

// One request at a time and no I/O: a second thread would have nothing to do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let tokens = &Tokens::from_settings(&Settings::from_env())?;
    let handler =
        |event: LambdaEvent<Request>| async move { authorize(tokens, &SystemClock, &event.payload) };
    lambda_runtime::run(service_fn(handler)).await
}
