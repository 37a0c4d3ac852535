//! The reconciliation as a Lambda function whose time is always over.

use std::sync::{Arc, Mutex};

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use lambda_runtime::Context;
use operator::scheduled::{Request, Scheduled};

use crate::fixture::{Fixture, LATER};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:erp-reconcile:live";

/// The invocations: function, invocation type, payload.
type Invocations = Arc<Mutex<Vec<(String, String, String)>>>;

async fn invoked(
    State(invocations): State<Invocations>,
    Path(function): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let kind = headers["x-amz-invocation-type"].to_str().unwrap().to_owned();
    invocations.lock().unwrap().push((function, kind, body));
    StatusCode::ACCEPTED
}

async fn lambda(invocations: &Invocations) -> aws_sdk_lambda::Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let path = "/2015-03-31/functions/{function}/invocations";
    let router = axum::Router::new().route(path, post(invoked)).with_state(Arc::clone(invocations));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"));
    aws_sdk_lambda::Client::from_conf(config.build())
}

#[tokio::test]
async fn a_reconciliation_without_time_invokes_itself_until_it_is_complete() {
    let fixture = Fixture::start().await;
    fixture.orders().await;
    let invocations = Invocations::default();
    let lambda = lambda(&invocations).await;
    let scheduled = Scheduled { ledger: fixture.ledger(LATER), lambda };
    let mut context = Context::default();
    context.invoked_function_arn = ARN.to_owned();

    // The event of a schedule has no progress.
    let mut request: Request =
        serde_json::from_str(r#"{"detail-type":"Scheduled Event","detail":{}}"#).unwrap();
    let mut checked = 0;
    loop {
        let outcome = scheduled.reconcile(request, &context).await.unwrap();
        assert_eq!(outcome.report.mismatches, 0);
        checked += outcome.report.checked();
        let next = invocations.lock().unwrap().pop();
        let Some((function, kind, body)) = next else {
            assert!(outcome.complete);
            break;
        };
        assert!(!outcome.complete);
        assert_eq!((function.as_str(), kind.as_str()), (ARN, "Event"), "the same alias, asynchronously");
        request = serde_json::from_str(&body).unwrap();
    }
    assert_eq!(checked, 1 + 5 + 1, "an item, five sales orders, a purchase order");
}
