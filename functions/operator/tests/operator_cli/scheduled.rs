//! The check as a Lambda whose time is always over.

use std::sync::{Arc, Mutex};

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use erp_domain::ports::SystemClock;
use lambda_runtime::Context;
use operator::scheduled::{Request, Scheduled};

use crate::shop::{LATER, Shop};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:erp-reconcile:live";

/// What Lambda was asked to invoke: the function, how, and with what.
type Asked = Arc<Mutex<Vec<(String, String, String)>>>;

async fn invoked(
    State(asked): State<Asked>,
    Path(function): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let kind = headers["x-amz-invocation-type"].to_str().unwrap().to_owned();
    asked.lock().unwrap().push((function, kind, body));
    StatusCode::ACCEPTED
}

async fn lambda(asked: &Asked) -> aws_sdk_lambda::Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let path = "/2015-03-31/functions/{function}/invocations";
    let router = axum::Router::new().route(path, post(invoked)).with_state(Arc::clone(asked));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"));
    aws_sdk_lambda::Client::from_conf(config.build())
}

#[tokio::test]
async fn a_check_without_time_hands_over_to_itself_until_all_is_looked_at() {
    let shop = Shop::open().await;
    shop.fates().await;
    let asked = Asked::default();
    let lambda = lambda(&asked).await;
    let scheduled = Scheduled { books: shop.books(LATER), lambda, clock: Arc::new(SystemClock) };
    let mut context = Context::default();
    context.invoked_function_arn = ARN.to_owned();

    // What a schedule sends has nothing of ours in it.
    let mut request: Request =
        serde_json::from_str(r#"{"detail-type":"Scheduled Event","detail":{}}"#).unwrap();
    let mut looked_at = 0;
    loop {
        let outcome = scheduled.check(request, &context).await.unwrap();
        assert_eq!(outcome.report.mismatches, 0);
        looked_at += outcome.report.checked();
        let next = asked.lock().unwrap().pop();
        let Some((function, kind, body)) = next else {
            assert!(outcome.complete);
            break;
        };
        assert!(!outcome.complete);
        assert_eq!((function.as_str(), kind.as_str()), (ARN, "Event"), "the same version, and nobody waits");
        request = serde_json::from_str(&body).unwrap();
    }
    assert_eq!(looked_at, 1 + 5 + 1, "an item, sales, a purchase");
}
