//! The real binary of one function, started by the emulator of the Runtime API, over the services of a test: each is
//! behind a proxy of its own, which belongs to the function.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::Path as UrlPath;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use erp_aws::Table;
use erp_local::deployment::Function;
use erp_local::lambda::{Config, Functions, Invocation};
use erp_testkit::{Dynamo, FakeSns, FakeSqs, Proxy};
use serde_json::{Value, json};

use crate::function_executables::executables;
use crate::sample_data;
use crate::template::STACK;

/// The services that functions call, as in the variable `AWS_ENDPOINT_URL_<SERVICE>`.
pub(crate) const SERVICES: [&str; 4] = ["DYNAMODB", "LAMBDA", "SNS", "SQS"];

/// DynamoDB with the data of the samples, SNS, SQS, and the queried functions.
pub(crate) struct Services {
    pub(crate) dynamo: Dynamo,
    sns: FakeSns,
    sqs: FakeSqs,
    lambda: String,
}

impl Services {
    pub(crate) async fn start() -> Self {
        // The tests measure time: not that of the build.
        executables();
        let dynamo = Dynamo::start().await;
        for context in ["auth", "contact", "inventory", "sales", "purchase"] {
            dynamo.table(&format!("{STACK}-{context}"), &["list", "status", "party", "outbox"]).await;
        }
        let services =
            Self { dynamo, sns: FakeSns::start().await, sqs: FakeSqs::start().await, lambda: lambda().await };
        sample_data::write(|context| services.table(context)).await;
        services
    }

    /// Returns the table of a context.
    pub(crate) fn table(&self, context: &str) -> Table {
        Table::new(self.dynamo.client.clone(), format!("{STACK}-{context}"))
    }

    /// Puts a proxy in front of each service.
    pub(crate) async fn proxies(&self) -> BTreeMap<&'static str, Proxy> {
        let mut proxies = BTreeMap::new();
        let targets = [&self.dynamo.endpoint, &self.lambda, &self.sns.endpoint, &self.sqs.endpoint];
        for (service, target) in SERVICES.into_iter().zip(targets) {
            proxies.insert(service, Proxy::start(target, Duration::ZERO).await);
        }
        proxies
    }
}

/// Starts an endpoint of Lambda with the two query functions: every contact exists, and every item.
async fn lambda() -> String {
    let invoke = async |UrlPath(function): UrlPath<String>, headers: HeaderMap, body: String| -> Response {
        if headers.get("x-amz-invocation-type").is_some_and(|kind| kind == "DryRun") {
            return StatusCode::NO_CONTENT.into_response();
        }
        let query: Value = serde_json::from_str(&body).unwrap();
        let items = query["items"].as_array().cloned().unwrap_or_default().into_iter();
        let items: Vec<_> =
            items.map(|id| json!({"id": id, "unit_price": 90_000.00, "quantity": 50})).collect();
        let is_contact = function.contains("contact-query");
        Json(if is_contact { json!({"exists": true}) } else { json!({ "items": items }) }).into_response()
    };
    let path = "/2015-03-31/functions/{function}/invocations";
    let router = axum::Router::new().route(path, axum::routing::post(invoke));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    endpoint
}

/// A running process of a function.
pub(crate) struct RunningFunction {
    functions: Arc<Functions>,
    name: String,
    pub(crate) proxies: BTreeMap<&'static str, Proxy>,
}

impl RunningFunction {
    /// Starts a process and waits for the end of its init phase.
    pub(crate) async fn start(
        function: &Function,
        proxies: BTreeMap<&'static str, Proxy>,
        logs: &Path,
    ) -> Self {
        let mut config = Config::new(logs);
        config.warm = true;
        config.concurrency = 1;
        // A debug build on a busy machine starts slowly.
        config.init = Duration::from_secs(60);
        config.environment = proxies
            .iter()
            .map(|(service, proxy)| (format!("AWS_ENDPOINT_URL_{service}"), proxy.endpoint.clone()))
            .collect();
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            config.environment.insert(name.to_owned(), "test".to_owned());
        }
        let functions =
            Functions::start(config, std::slice::from_ref(function), executables()).await.unwrap();
        assert!(!functions.processes().is_empty(), "{} does not start", function.name);
        Self { functions, name: function.name.clone(), proxies }
    }

    pub(crate) async fn invoke(&self, event: &Value) -> Invocation {
        self.functions.invoke(&self.name, event.to_string().into()).await.unwrap()
    }

    pub(crate) async fn stop(self) {
        self.functions.stop().await;
    }
}
