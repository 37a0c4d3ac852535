//! The function behind `/api/purchase/orders`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::tracing::init_default_subscriber();
    purchase::config::app().await?.run().await
}
