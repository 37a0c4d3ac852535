//! The Lambda function behind `/health`, `/openapi.json` and `/swagger`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::tracing::init_default_subscriber();
    portal::config::app().await?.run().await
}
