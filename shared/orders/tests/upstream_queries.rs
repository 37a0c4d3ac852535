//! Queries to contact and inventory, sent over HTTP to a stand-in for Lambda.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use erp_aws::error_chain;
use erp_aws::function_client::FunctionClient;
use erp_domain::{Id, PartyKind};
use erp_orders::{LambdaUpstreams, Upstreams};
use serde_json::{Value, json};

/// The invocations: function and payload.
type Invocations = Arc<Mutex<Vec<(String, Value)>>>;

/// Responds to every invocation with `response`, or with an error of the function.
async fn lambda(response: Result<Value, &'static str>) -> (LambdaUpstreams, Invocations) {
    let invocations = Invocations::default();
    let state = (invocations.clone(), response);
    let invoke = async |Path(function): Path<String>,
                        State((invocations, response)): State<(Invocations, Result<Value, &'static str>)>,
                        body: String|
           -> Response {
        invocations.lock().unwrap().push((function, serde_json::from_str(&body).unwrap()));
        match response {
            Ok(response) => response.to_string().into_response(),
            Err(message) => {
                let error = json!({"errorMessage": message}).to_string();
                (StatusCode::OK, [("x-amz-function-error", "Unhandled")], error).into_response()
            }
        }
    };
    let path = "/2015-03-31/functions/{function}/invocations";
    let router = axum::Router::new().route(path, axum::routing::post(invoke)).with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .endpoint_url(endpoint);
    let client = aws_sdk_lambda::Client::from_conf(config.build());
    let function = |name: &str| FunctionClient::new(client.clone(), name.to_owned());
    let upstreams =
        LambdaUpstreams { contact: function("contact-query"), inventory: function("inventory-query") };
    (upstreams, invocations)
}

fn id<T>() -> Id<T> {
    Id::new(uuid::Uuid::now_v7())
}

#[tokio::test]
async fn contact_is_queried_for_one_customer_or_vendor() {
    for exists in [true, false] {
        let (upstreams, invocations) = lambda(Ok(json!({"exists": exists}))).await;
        let party = id();
        assert_eq!(upstreams.party_exists(PartyKind::Vendor, party).await.unwrap(), exists);
        let query = json!({"kind": "vendor", "id": party});
        assert_eq!(*invocations.lock().unwrap(), [("contact-query".to_owned(), query)]);
    }
}

#[tokio::test]
async fn inventory_is_queried_once_for_all_items() {
    let [known, unknown] = [id(), id()];
    let response = json!({"items": [{"id": known, "unit_price": 90000.00, "quantity": 7}]});
    let (upstreams, invocations) = lambda(Ok(response)).await;
    let items = upstreams.items(BTreeSet::from([known, unknown])).await.unwrap();
    assert_eq!(items.keys().collect::<Vec<_>>(), [&known]);
    assert_eq!((items[&known].unit_price.minor(), items[&known].quantity), (9_000_000, 7));
    let query = json!({"items": [known, unknown]});
    assert_eq!(*invocations.lock().unwrap(), [("inventory-query".to_owned(), query)]);
}

#[tokio::test]
async fn an_error_of_the_queried_function_is_not_a_negative_result() {
    let (upstreams, invocations) = lambda(Err("the table is down")).await;
    let error = error_chain(&upstreams.party_exists(PartyKind::Customer, id()).await.unwrap_err());
    assert!(error.contains("the table is down"), "for the log: {error}");
    assert_eq!(invocations.lock().unwrap().len(), 2, "retried once");
    assert!(upstreams.items(BTreeSet::from([id()])).await.is_err());
}
