//! A request ends before the deadline of its invocation, whatever hangs.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use erp_aws::Table;
use erp_testkit::dynamo::rows;
use erp_testkit::proxy::Loss;
use serde_json::Value;
use tokio::time::Instant;

use crate::running_function::{RunningFunction, Services};
use crate::samples;
use crate::template::Template;

/// The time-out of the function in these tests: shorter than in the template, so that they are quick.
const TIMEOUT: Duration = Duration::from_secs(4);

async fn sales_api(services: &Services, logs: &Path) -> RunningFunction {
    let mut function = Template::committed().function_of_binary("sales-api").unwrap().clone();
    function.timeout = TIMEOUT;
    RunningFunction::start(&function, services.proxies().await, logs).await
}

/// Creates the order of the sample, which has an `Idempotency-Key`; returns the response of the function.
async fn create(sales: &RunningFunction) -> Value {
    let invocation = sales.invoke(&samples::read("sales-api.create")).await;
    let payload = serde_json::from_slice(&invocation.payload).unwrap();
    assert_eq!(invocation.function_error, None, "{payload}");
    payload
}

/// Creates the order while something hangs.
async fn create_in_vain(sales: &RunningFunction) {
    let start = Instant::now();
    let response = create(sales).await;
    assert!(start.elapsed() < TIMEOUT, "{:?}", start.elapsed());
    assert_eq!(response["statusCode"], 503, "{response}");
    assert_eq!(header(&response, "retry-after"), Some("1"));
    let problem: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
    assert_eq!(problem["code"], "service_unavailable");
}

fn header<'a>(response: &'a Value, name: &str) -> Option<&'a str> {
    response["multiValueHeaders"][name][0].as_str().or(response["headers"][name].as_str())
}

async fn orders(table: &Table) -> usize {
    let rows = rows(table).await;
    let keys = rows.iter().map(|row| row["pk"].as_s().unwrap()).filter(|pk| pk.starts_with("ORDER#"));
    keys.collect::<BTreeSet<_>>().len()
}

#[tokio::test]
async fn a_query_without_a_response_is_a_503_before_the_deadline() {
    let services = Services::start().await;
    let logs = tempfile::tempdir().unwrap();
    let sales = sales_api(&services, logs.path()).await;
    sales.proxies["LAMBDA"].lose("contact-query", Loss::Request);
    create_in_vain(&sales).await;
    let log = std::fs::read_to_string(logs.path().join("erp-sales-api.log")).unwrap();
    let line = log.lines().find(|line| line.contains("request failed")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("/api/sales/orders"), "the route: {line}");
    sales.stop().await;
}

#[tokio::test]
async fn a_commit_without_a_response_and_its_repetition_have_one_effect() {
    for (loss, replayed) in [(Loss::Request, None), (Loss::Response, Some("true"))] {
        let services = Services::start().await;
        let before = orders(&services.table("sales")).await;
        let logs = tempfile::tempdir().unwrap();
        let sales = sales_api(&services, logs.path()).await;
        sales.proxies["DYNAMODB"].lose("TransactWriteItems", loss);
        create_in_vain(&sales).await;
        sales.proxies["DYNAMODB"].recover();
        let created = create(&sales).await;
        assert_eq!(created["statusCode"], 201, "{loss:?}: {created}");
        assert_eq!(header(&created, "idempotent-replayed"), replayed, "{loss:?}");
        assert_eq!(create(&sales).await["body"], created["body"], "{loss:?}");
        assert_eq!(orders(&services.table("sales")).await, before + 1, "{loss:?}");
        sales.stop().await;
    }
}
