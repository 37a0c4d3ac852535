//! The Lambda behind `/api/items`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::tracing::init_default_subscriber();
    inventory::config::app().await?.run().await
}
