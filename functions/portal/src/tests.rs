//! The portal as API Gateway invokes it, over an endpoint that stands in for DynamoDB and SQS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use erp_auth::{Verified, context};
use erp_domain::Timestamp;
use erp_domain::identity::{Caller, Role};
use erp_testkit::request::user;
use erp_testkit::sdk::sdk_config;
use erp_testkit::{ApiRequest, ApiResponse, Dynamo, TestClock};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::api::HTML_POLICY;
use crate::authorizer::Authorizer;
use crate::config::build;
use crate::health::Monitored;
use crate::probe::Probe;

const QUEUE: &str = "http://localhost:8000/000000000000/stock-queue";
const DEAD_LETTERS: &str = "http://localhost:8000/000000000000/stock-queue-dlq";

/// The tables and queues of the endpoint. Any other table or queue is an error.
#[derive(Default)]
struct AwsState {
    /// `TableStatus` by name.
    tables: HashMap<&'static str, &'static str>,
    /// Number of messages by queue URL.
    queues: HashMap<&'static str, u64>,
    /// `DescribeTable` requests.
    described: usize,
    /// `GetQueueAttributes` requests.
    counted: usize,
    /// Invocations of the authorizer.
    verified: usize,
    /// Whether the authorizer cannot be invoked.
    throttled: bool,
}

#[derive(Clone, Default)]
struct FakeAws(Arc<Mutex<AwsState>>);

impl FakeAws {
    async fn start(&self) -> SdkConfig {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let invocations = "/2015-03-31/functions/authorizer/invocations";
        let router = Router::new().route("/", post(respond)).route(invocations, post(invoke));
        let router = router.with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        sdk_config(&endpoint)
    }

    fn set_table(&self, status: Option<&'static str>) {
        let mut state = self.0.lock().unwrap();
        state.tables.clear();
        state.tables.extend(status.map(|status| ("erp-auth", status)));
    }
}

/// `DescribeTable` and `GetQueueAttributes` in the AWS JSON protocol.
async fn respond(State(aws): State<FakeAws>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let request: Value = serde_json::from_str(&body).unwrap();
    let mut state = aws.0.lock().unwrap();
    let target = headers["x-amz-target"].to_str().unwrap();
    let found = if target.ends_with(".DescribeTable") {
        state.described += 1;
        let status = state.tables.get(request["TableName"].as_str().unwrap());
        status.map(|status| json!({"Table": {"TableStatus": status}}))
    } else {
        state.counted += 1;
        let visible = state.queues.get(request["QueueUrl"].as_str().unwrap());
        visible.map(|visible| {
            json!({"Attributes": {"ApproximateNumberOfMessages": visible.to_string(),
                                  "ApproximateNumberOfMessagesNotVisible": "0"}})
        })
    };
    match found {
        Some(response) => (StatusCode::OK, response.to_string()),
        None => (
            StatusCode::BAD_REQUEST,
            json!({"__type": "x#ResourceNotFoundException", "message": "gone"}).to_string(),
        ),
    }
}

/// The authorizer: the token is the role of a user, or `service`.
async fn invoke(State(aws): State<FakeAws>, headers: HeaderMap, body: String) -> Response {
    if headers.get("x-amz-invocation-type").is_some_and(|kind| kind == "DryRun") {
        return StatusCode::NO_CONTENT.into_response();
    }
    let event: Value = serde_json::from_str(&body).unwrap();
    let mut state = aws.0.lock().unwrap();
    state.verified += 1;
    if state.throttled {
        return (StatusCode::TOO_MANY_REQUESTS, "{}").into_response();
    }
    let caller = match event["authorizationToken"].as_str().unwrap() {
        "Bearer finance_manager" => user(Role::FinanceManager),
        "Bearer inventory_manager" => user(Role::InventoryManager),
        "Bearer service" => Caller::Service { name: "reports".to_owned() },
        _ => {
            let error = json!({"errorType": "Unauthorized", "errorMessage": "Unauthorized"}).to_string();
            return ([("x-amz-function-error", "Unhandled")], error).into_response();
        }
    };
    let expires_at = Timestamp::from_millis(i64::from(u32::MAX) * 1000);
    let context = context::to_fields(&Verified { caller, expires_at });
    json!({"principalId": "-", "policyDocument": {}, "context": context}).to_string().into_response()
}

fn monitored() -> Monitored {
    Monitored {
        tables: vec!["erp-auth".into()],
        queues: vec![QUEUE.into()],
        dead_letter_queues: vec![DEAD_LETTERS.into()],
    }
}

struct Fixture {
    router: Router,
    aws: FakeAws,
    clock: Arc<TestClock>,
}

impl Fixture {
    async fn start() -> Self {
        let aws = FakeAws::default();
        aws.set_table(Some("ACTIVE"));
        aws.0.lock().unwrap().queues.extend([(QUEUE, 7), (DEAD_LETTERS, 0)]);
        let clock = Arc::new(TestClock::default());
        let sdk = aws.start().await;
        let authorizer = Authorizer::new(&sdk, "authorizer".to_owned());
        let router = build(monitored(), Probe::new(&sdk), authorizer, clock.clone()).await.into_router();
        Self { router, aws, clock }
    }

    async fn get(&self, path: &str) -> ApiResponse {
        ApiRequest::new("GET", path).send(&self.router).await
    }

    /// Gets the health as a user.
    async fn health(&self) -> (u16, Value) {
        self.clock.advance_seconds(60);
        self.health_as("Bearer inventory_manager").await
    }

    async fn health_as(&self, authorization: &str) -> (u16, Value) {
        let request = ApiRequest::new("GET", "/health").header("Authorization", authorization);
        let response = request.send(&self.router).await;
        (response.status, response.json())
    }
}

#[tokio::test]
async fn the_platform_is_healthy_if_every_dependency_is() {
    let (status, report) = Fixture::start().await.health().await;
    assert_eq!(status, 200);
    assert_eq!(
        report,
        json!({
            "status": "ok",
            "message": "Gateway is healthy",
            "dependencies": {
                "tables": {"erp-auth": {"status": "ok"}},
                "queues": {"stock-queue": {"status": "ok", "waiting": 7}},
                "dead_letter_queues": {"stock-queue-dlq": {"status": "ok", "waiting": 0}},
            },
        })
    );
}

#[tokio::test]
async fn dead_letters_are_degraded_and_a_table_that_does_not_serve_is_a_503() {
    let portal = Fixture::start().await;
    portal.aws.0.lock().unwrap().queues.insert(DEAD_LETTERS, 1);
    let (status, report) = portal.health().await;
    assert_eq!((status, &report["status"]), (200, &json!("degraded")));
    let dead = json!({"status": "degraded", "waiting": 1});
    assert_eq!(report["dependencies"]["dead_letter_queues"]["stock-queue-dlq"], dead);

    portal.aws.0.lock().unwrap().queues.clear();
    let (status, report) = portal.health().await;
    assert_eq!((status, &report["status"]), (200, &json!("degraded")));
    assert_eq!(report["dependencies"]["queues"]["stock-queue"], json!({"status": "degraded"}));

    for table_status in [Some("INACCESSIBLE_ENCRYPTION_CREDENTIALS"), None] {
        portal.aws.set_table(table_status);
        let (status, report) = portal.health().await;
        assert_eq!((status, &report["status"]), (503, &json!("unavailable")));
        assert!(!report.to_string().contains("gone"), "the reason is for the log");
    }

    portal.aws.set_table(Some("UPDATING"));
    assert_eq!(portal.health().await.0, 200, "a table that is being updated serves");
}

#[tokio::test]
async fn names_and_depths_are_only_for_users() {
    let portal = Fixture::start().await;
    let public = json!({"status": "ok", "message": "Gateway is healthy"});
    assert_eq!(portal.get("/health").await.json(), public);
    assert_eq!(portal.aws.0.lock().unwrap().verified, 0, "without a token there is nothing to verify");
    for authorization in ["Bearer service", "Bearer forged", "Bearer ", "-", "Basic YTpi"] {
        assert_eq!(portal.health_as(authorization).await, (200, public.clone()), "{authorization}");
    }
    for authorization in ["Bearer inventory_manager", "Bearer finance_manager"] {
        let (status, report) = portal.health_as(authorization).await;
        assert_eq!((status, &report["dependencies"]["queues"]["stock-queue"]["waiting"]), (200, &json!(7)));
    }
    portal.aws.set_table(None);
    portal.clock.advance_seconds(60);
    let public = json!({"status": "unavailable", "message": "Gateway is not healthy"});
    assert_eq!(portal.health_as("Bearer forged").await, (503, public));
}

#[tokio::test]
async fn the_status_does_not_depend_on_the_authorizer() {
    let portal = Fixture::start().await;
    portal.aws.0.lock().unwrap().throttled = true;
    let (status, report) = portal.health_as("Bearer finance_manager").await;
    assert_eq!((status, &report["status"], report.get("dependencies")), (200, &json!("ok"), None));
}

#[tokio::test]
async fn a_report_is_cached() {
    let portal = Fixture::start().await;
    let described = || portal.aws.0.lock().unwrap().described;
    for _ in 0..3 {
        assert_eq!(portal.get("/health").await.status, 200);
    }
    assert_eq!(described(), 1);
    portal.clock.advance_seconds(5);
    portal.get("/health").await;
    assert_eq!(described(), 2);
}

#[tokio::test]
async fn dynamodb_and_sqs_are_connected_before_the_first_request() {
    let portal = Fixture::start().await;
    let (described, counted) = {
        let state = portal.aws.0.lock().unwrap();
        (state.described, state.counted)
    };
    assert_eq!((described, counted), (1, 2), "one table and two queues");
    portal.get("/health").await;
    assert_eq!(portal.aws.0.lock().unwrap().described, 1, "the first request gets the report");
}

#[tokio::test]
async fn a_table_is_described_and_a_queue_that_cannot_be_reached_is_an_error() {
    let dynamo = Dynamo::start().await;
    dynamo.table("erp-auth", &[]).await;
    let probe = Probe::new(&sdk_config(&dynamo.endpoint));
    assert_eq!(probe.table_is_active("erp-auth").await, Ok(true));
    assert!(probe.table_is_active("erp-nothing").await.is_err());
    assert!(Probe::new(&sdk_config("http://127.0.0.1:1")).message_count(QUEUE).await.is_err());
}

#[tokio::test]
async fn the_document_is_served_and_works_below_a_stage() {
    let response = Fixture::start().await.get("/openapi.json").await;
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    let document = response.json();
    assert_eq!(document["openapi"], "3.1.0");
    let servers = document["servers"].as_array().unwrap();
    assert_eq!((servers.len(), &servers[0]["url"]), (1, &json!(".")), "relative to the document");
    assert_eq!(crate::api::document().servers.map(|servers| servers.len()), Some(1));
}

#[tokio::test]
async fn swagger_ui_is_served_and_loads_nothing_from_elsewhere() {
    let portal = Fixture::start().await;
    for (path, location) in [("/swagger", "swagger/index.html"), ("/swagger/", "index.html")] {
        let response = portal.get(path).await;
        assert_eq!((response.status, response.header("location")), (302, Some(location)), "{path}");
    }
    let page = portal.get("/swagger/index.html").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    let mut files = vec!["swagger-initializer.js".to_owned()];
    for attribute in ["src=\"", "href=\""] {
        files.extend(page.text.split(attribute).skip(1).map(|rest| {
            let address = rest.split('"').next().unwrap();
            assert!(!address.contains("//"), "{address} is elsewhere");
            address.trim_start_matches("./").to_owned()
        }));
    }
    assert!(files.len() > 5);
    for file in files {
        let asset = portal.get(&format!("/swagger/{file}")).await;
        assert_eq!(asset.status, 200, "{file}");
        let kind = match file.rsplit('.').next().unwrap() {
            "js" => "text/javascript",
            "css" => "text/css",
            _ => "image/png",
        };
        assert_eq!(asset.header("content-type"), Some(kind), "{file}");
    }
}

/// The policy has no exception for inline scripts and style attributes, so a page with them would be broken.
#[tokio::test]
async fn html_pages_have_a_content_security_policy_and_no_inline_code() {
    let portal = Fixture::start().await;
    for page in ["index.html", "oauth2-redirect.html"] {
        let response = portal.get(&format!("/swagger/{page}")).await;
        assert_eq!(response.header("content-security-policy"), Some(HTML_POLICY), "{page}");
        assert!(response.header("strict-transport-security").is_some(), "{page}");
        for script in response.text.split("<script").skip(1) {
            let (attributes, content) = script.split_once('>').unwrap();
            assert!(attributes.contains("src="), "{page}: {script}");
            assert!(content.split("</script>").next().unwrap().trim().is_empty(), "{page}: {script}");
        }
        for inline in ["<style", "style=", "onload=", "onclick=", "javascript:"] {
            assert!(!response.text.contains(inline), "{page} contains {inline}");
        }
    }
    assert!(!HTML_POLICY.contains("unsafe"));
}

/// A new version of Swagger UI may insert another style element, which the policy would block.
#[tokio::test]
async fn the_policy_admits_the_style_elements_that_the_scripts_insert() {
    let portal = Fixture::start().await;
    for script in ["swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"] {
        let script = portal.get(&format!("/swagger/{script}")).await.text;
        for element in script.split(r#"createElement("style",null,""#).skip(1) {
            let digest = sha2::Sha256::digest(element.split('"').next().unwrap());
            let hash = base64::engine::general_purpose::STANDARD.encode(digest);
            assert!(HTML_POLICY.contains(&format!("'sha256-{hash}'")), "{hash} is not in the policy");
        }
    }
}

#[tokio::test]
async fn swagger_ui_loads_the_platforms_document_and_keeps_the_token() {
    let portal = Fixture::start().await;
    let script = portal.get("/swagger/swagger-initializer.js").await.text;
    for setting in [
        r#""url": "../openapi.json""#,
        r#""tryItOutEnabled": true"#,
        r#""persistAuthorization": true"#,
        r#""validatorUrl": "none""#,
    ] {
        assert!(script.contains(setting), "{setting} is not in {script}");
    }
    assert!(!script.contains("petstore"), "{script}");
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let portal = Fixture::start().await;
    for path in ["/swagger/nothing.js", "/swagger/..%2Fopenapi.json", "/nothing"] {
        let response = portal.get(path).await;
        assert_eq!((response.status, response.code()), (404, "not_found".to_owned()), "{path}");
    }
    let posted = ApiRequest::new("POST", "/health").send(&portal.router).await;
    assert_eq!(posted.status, 405);
    assert_eq!(posted.header("allow"), Some("GET,HEAD"));
    let head = ApiRequest::new("HEAD", "/health").send(&portal.router).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""), "HEAD is in Allow");
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_is_a_problem() {
    let portal = Fixture::start().await;
    for path in ["/swagger/%FF", "/swagger/a%c3/b.js"] {
        let response = portal.get(path).await;
        assert_eq!((response.status, response.code()), (400, "validation_failed".to_owned()), "{path}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(response.invalid_fields(), ["proxy"], "{path}");
    }
}
