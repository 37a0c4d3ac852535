//! The Lambda behind `/api/auth`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::tracing::init_default_subscriber();
    auth::config::app().await?.run().await
}
