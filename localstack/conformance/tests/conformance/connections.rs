//! Connections are opened in the init phase, which runs at full speed and before the first request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use erp_local::deployment::Function;
use erp_testkit::Proxy;
use erp_testkit::proxy::Loss;
use tokio::time::Instant;

use crate::assert_none;
use crate::running_function::{RunningFunction, SERVICES, Services};
use crate::samples;
use crate::template::Template;

/// Functions of which a request waits: those with routes, and those that they query. The others process in the
/// background, and open further connections for concurrent calls.
fn is_interactive(function: &Function) -> bool {
    let mut routes = Template::committed().deployment.api.routes.iter();
    function.binary.ends_with("-query") || routes.any(|route| route.function == function.logical_id)
}

#[tokio::test]
async fn no_request_waits_for_a_connection() {
    let services = Services::start().await;
    let logs = tempfile::tempdir().unwrap();
    let (mut violations, mut used) = (Vec::new(), BTreeSet::new());
    for function in &Template::committed().deployment.functions {
        let running = RunningFunction::start(function, services.proxies().await, logs.path()).await;
        let counts = |count: fn(&Proxy) -> usize| -> BTreeMap<&str, usize> {
            running.proxies.iter().map(|(service, proxy)| (*service, count(proxy))).collect()
        };
        let (connections, requests) = (counts(Proxy::connections), counts(Proxy::requests));
        for event in samples::of(&function.binary) {
            running.invoke(&event).await;
        }
        let (connections_after, requests_after) = (counts(Proxy::connections), counts(Proxy::requests));
        for service in SERVICES {
            if requests_after[service] == requests[service] {
                continue;
            }
            used.insert(service);
            let (opened, now) = (connections[service], connections_after[service]);
            let is_enough = if is_interactive(function) { opened == now } else { opened > 0 };
            if !is_enough {
                violations.push(format!(
                    "{}: open {now} connections to {service} in config.rs, not {opened}; see erp_aws::clients",
                    function.binary
                ));
            }
        }
        running.stop().await;
    }
    assert_none(violations);
    assert_eq!(used, BTreeSet::from(SERVICES), "the samples use every service");
}

#[tokio::test]
async fn a_service_that_hangs_does_not_prevent_a_start() {
    let services = Services::start().await;
    let logs = tempfile::tempdir().unwrap();
    for function in &Template::committed().deployment.functions {
        let proxies = services.proxies().await;
        proxies.values().for_each(|proxy| proxy.lose("", Loss::Request));
        let start = Instant::now();
        let running = RunningFunction::start(function, proxies, logs.path()).await;
        let elapsed = start.elapsed();
        assert!(elapsed < Duration::from_secs(8), "{}: AWS ends it after 10 s: {elapsed:?}", function.name);
        running.stop().await;
    }
}
