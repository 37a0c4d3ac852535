//! The Lambda behind `/api/customers` and `/api/vendors`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::tracing::init_default_subscriber();
    contact::config::app().await?.run().await
}
