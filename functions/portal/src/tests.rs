//! The portal as API Gateway sees it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use erp_testkit::{ApiAnswer, ApiRequest, Dynamo, TestClock};
use serde_json::{Value, json};

use crate::config::assemble;
use crate::health::{Parts, Probe};
use crate::probe::AwsProbe;

const QUEUE: &str = "http://localhost:8000/000000000000/stock-queue";
const DEAD_LETTERS: &str = "http://localhost:8000/000000000000/stock-queue-dlq";

/// Parts that are as a test says; one that it says nothing of does not answer.
#[derive(Default)]
struct Fake {
    tables: Mutex<HashMap<&'static str, bool>>,
    queues: Mutex<HashMap<&'static str, u64>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Probe for Fake {
    async fn table(&self, name: &str) -> Result<bool, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.tables.lock().unwrap().get(name).copied().ok_or_else(|| "gone".to_owned())
    }
    async fn waiting(&self, queue_url: &str) -> Result<u64, String> {
        self.queues.lock().unwrap().get(queue_url).copied().ok_or_else(|| "gone".to_owned())
    }
}

fn parts() -> Parts {
    Parts {
        tables: vec!["erp-auth".into()],
        queues: vec![QUEUE.into()],
        dead_letter_queues: vec![DEAD_LETTERS.into()],
    }
}

struct Portal {
    router: Router,
    fake: Arc<Fake>,
    clock: Arc<TestClock>,
}

impl Portal {
    fn new() -> Self {
        let fake = Arc::new(Fake::default());
        fake.tables.lock().unwrap().insert("erp-auth", true);
        fake.queues.lock().unwrap().extend([(QUEUE, 7), (DEAD_LETTERS, 0)]);
        let clock = Arc::new(TestClock::default());
        let router = assemble(parts(), fake.clone(), clock.clone()).into_router();
        Self { router, fake, clock }
    }

    async fn get(&self, path: &str) -> ApiAnswer {
        ApiRequest::new("GET", path).send(&self.router).await
    }

    async fn health(&self) -> (u16, Value) {
        self.clock.advance_seconds(60);
        let answer = self.get("/health").await;
        (answer.status, answer.json())
    }
}

#[tokio::test]
async fn all_is_well_when_every_part_is() {
    let (status, report) = Portal::new().health().await;
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
async fn what_somebody_should_look_at_is_degraded_and_a_table_that_does_not_serve_is_a_503() {
    let portal = Portal::new();
    portal.fake.queues.lock().unwrap().insert(DEAD_LETTERS, 1);
    let (status, report) = portal.health().await;
    assert_eq!((status, &report["status"]), (200, &json!("degraded")));
    let dead = json!({"status": "degraded", "waiting": 1});
    assert_eq!(report["dependencies"]["dead_letter_queues"]["stock-queue-dlq"], dead);

    portal.fake.queues.lock().unwrap().clear();
    let (status, report) = portal.health().await;
    assert_eq!((status, &report["status"]), (200, &json!("degraded")));
    assert_eq!(report["dependencies"]["queues"]["stock-queue"], json!({"status": "degraded"}));

    for state in [Some(false), None] {
        portal.fake.tables.lock().unwrap().clear();
        portal.fake.tables.lock().unwrap().extend(state.map(|state| ("erp-auth", state)));
        let (status, report) = portal.health().await;
        assert_eq!((status, &report["status"]), (503, &json!("unavailable")));
        assert!(!report.to_string().contains("gone"), "the reason is for the log");
    }
}

#[tokio::test]
async fn asking_often_asks_the_parts_once() {
    let portal = Portal::new();
    for _ in 0..3 {
        assert_eq!(portal.get("/health").await.status, 200);
    }
    assert_eq!(portal.fake.asked.load(Ordering::SeqCst), 1);
    portal.clock.advance_seconds(5);
    portal.get("/health").await;
    assert_eq!(portal.fake.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_table_is_asked_how_it_is_and_a_queue_that_cannot_be_reached_is_noticed() {
    let dynamo = Dynamo::start().await;
    dynamo.table("erp-auth", &[]).await;
    let nowhere = aws_sdk_sqs::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_sqs::config::Region::from_static("us-east-1"))
        .credentials_provider(aws_sdk_sqs::config::Credentials::for_tests())
        .endpoint_url("http://127.0.0.1:1")
        .build();
    let probe = AwsProbe { tables: dynamo.client.clone(), queues: aws_sdk_sqs::Client::from_conf(nowhere) };
    assert_eq!(probe.table("erp-auth").await, Ok(true));
    assert!(probe.table("erp-nothing").await.is_err());
    assert!(probe.waiting(QUEUE).await.is_err());
}

#[tokio::test]
async fn the_document_is_served_and_stands_right_behind_a_stage() {
    let answer = Portal::new().get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"], json!([{"url": "."}]), "relative to the document, whatever is before it");
    assert_eq!(crate::api::document().servers.map(|servers| servers.len()), Some(1));
}

#[tokio::test]
async fn swagger_ui_is_found_and_asks_nothing_from_elsewhere() {
    let portal = Portal::new();
    for (path, there) in [("/swagger", "swagger/index.html"), ("/swagger/", "index.html")] {
        let answer = portal.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(there)), "{path}");
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

#[tokio::test]
async fn swagger_ui_reads_our_document_and_keeps_the_token() {
    let portal = Portal::new();
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
async fn what_is_not_there_is_a_problem() {
    let portal = Portal::new();
    for path in ["/swagger/nothing.js", "/swagger/..%2Fopenapi.json", "/nothing"] {
        let answer = portal.get(path).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found".to_owned()), "{path}");
    }
    let posted = ApiRequest::new("POST", "/health").send(&portal.router).await;
    assert_eq!(posted.status, 405);
    assert_eq!(posted.header("allow"), Some("GET,HEAD"));
    let head = ApiRequest::new("HEAD", "/health").send(&portal.router).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""), "what Allow names is answered");
}
