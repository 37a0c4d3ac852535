//! Ids in paths, content types, `If-Match`, `Location`, and requests that lose against concurrent updates.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use erp_aws::Table;
use erp_aws::function_client::InvokeError;
use erp_domain::{Clock, ItemId, OrderId, PartyId, PartyKind};
use erp_orders::upstream::testing::FakeUpstreams;
use erp_orders::{ItemSnapshots, Upstreams};
use erp_testkit::{ApiRequest, TestClock};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sales::store::SalesStore;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{ORDERS, TestService, id, router};

#[tokio::test]
async fn an_id_that_is_not_a_uuid_is_a_bad_request_on_every_route() {
    let service = TestService::start().await;
    let body = service.body();
    for bad in ["%ff", "%C3%28", "7", "01890000-0000-7000-8000-00000000000g"] {
        for (method, path) in [
            ("GET", ""),
            ("PUT", ""),
            ("POST", "/confirm"),
            ("POST", "/pay"),
            ("POST", "/cancel"),
            ("GET", "/events"),
        ] {
            let mut request = ApiRequest::finance(method, &format!("{ORDERS}/{bad}{path}"));
            if method == "PUT" {
                request = request.json(&body);
            }
            for request in [request.clone(), request.header("Idempotency-Key", "k")] {
                let rejected = request.send(&service.router).await;
                assert_eq!(rejected.status, 400, "{method} {bad}{path}: {}", rejected.text);
                assert_eq!(rejected.header("Content-Type"), Some("application/problem+json"));
            }
        }
    }
}

#[tokio::test]
async fn the_location_of_a_new_order_resolves_below_a_stage_and_at_a_root() {
    let service = TestService::start().await;
    for base in ["", "/dev"] {
        let create = ApiRequest::finance("POST", ORDERS).below(base).json(&service.body());
        let created = create.send(&service.router).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let url: axum::http::Uri = format!("https://api.example.com{base}{ORDERS}").parse().unwrap();
        // An absolute path resolves against the authority of the request's URL (RFC 3986 section 5.2).
        let location = created.header("Location").unwrap();
        assert!(location.starts_with('/'), "{location}");
        let resolved = format!("https://{}{location}", url.authority().unwrap());
        assert_eq!(resolved, format!("{url}/{}", id(&created.data())));
        let path = location.strip_prefix(base).unwrap();
        assert_eq!(service.get(path).await.data(), created.data());
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_or_is_encoded_is_an_unsupported_media_type() {
    let service = TestService::start().await;
    let create =
        |content_type| ApiRequest::finance("POST", ORDERS).text(&service.body().to_string(), content_type);
    for request in [
        create("text/plain"),
        create("application/x-www-form-urlencoded"),
        create("application/json; charset=latin1"),
        create("application/json").header("Content-Encoding", "gzip"),
    ] {
        let rejected = request.send(&service.router).await;
        assert_eq!((rejected.status, rejected.code().as_str()), (415, "unsupported_media_type"));
    }
    assert!(service.rows().await.is_empty());
}

#[tokio::test]
async fn a_wrong_method_is_reported_before_an_invalid_header() {
    let service = TestService::start().await;
    let request = ApiRequest::finance("DELETE", ORDERS).header("Idempotency-Key", "");
    let rejected = request.send(&service.router).await;
    assert_eq!((rejected.status, rejected.code().as_str()), (405, "method_not_allowed"));
    assert!(rejected.header("Allow").is_some_and(|allow| allow.contains("POST")));
}

#[tokio::test]
async fn if_match_accepts_quoted_decimals_only() {
    let service = TestService::start().await;
    let order = service.draft().await;
    let put = |tag: &str| {
        ApiRequest::finance("PUT", &format!("{ORDERS}/{order}")).header("If-Match", tag).json(&service.body())
    };
    for tag in [r#""+1""#, r#""01""#, "1", r#"" 1""#] {
        assert_eq!(put(tag).send(&service.router).await.status, 412, "{tag}");
    }
    assert_eq!(put(r#""1""#).send(&service.router).await.status, 200);
    assert_eq!(put("*").send(&service.router).await.status, 200);
}

/// Upstreams whose queries update an order, while `contended`: a concurrent update always wins.
struct ContendedUpstreams {
    fake: Arc<FakeUpstreams>,
    store: SalesStore,
    table: Table,
    clock: Arc<TestClock>,
    order: OrderId,
    contended: AtomicBool,
    updates: AtomicUsize,
}

impl Upstreams for ContendedUpstreams {
    fn party_exists(&self, kind: PartyKind, party: PartyId) -> BoxFuture<'_, Result<bool, InvokeError>> {
        async move {
            if self.contended.load(Ordering::SeqCst) {
                let old = self.store.find(self.order).await.unwrap().unwrap();
                let new =
                    old.revise(old.summary().customer_id, old.lines().clone(), self.clock.now()).unwrap();
                self.store.revise(&old, &new).unwrap().save(&self.table).await.unwrap();
                self.updates.fetch_add(1, Ordering::SeqCst);
            }
            self.fake.party_exists(kind, party).await
        }
        .boxed()
    }

    fn items(&self, ids: BTreeSet<ItemId>) -> BoxFuture<'_, Result<ItemSnapshots, InvokeError>> {
        self.fake.items(ids)
    }
}

#[tokio::test]
async fn a_request_that_loses_every_race_is_unavailable_and_binds_no_key() {
    let service = TestService::start().await;
    let order = service.draft().await;
    let upstreams = Arc::new(ContendedUpstreams {
        fake: service.upstreams.clone(),
        store: service.store.clone(),
        table: service.table.clone(),
        clock: service.clock.clone(),
        order: order.parse().unwrap(),
        contended: AtomicBool::new(true),
        updates: AtomicUsize::new(0),
    });
    let contended = router(service.table.clone(), upstreams.clone(), service.clock.clone());
    let put = ApiRequest::finance("PUT", &format!("{ORDERS}/{order}")).json(&service.body());
    let confirm = ApiRequest::finance("POST", &format!("{ORDERS}/{order}/confirm"));
    let requests = [put, confirm].map(|request| request.header("Idempotency-Key", "k"));
    for request in &requests {
        upstreams.updates.store(0, Ordering::SeqCst);
        let lost = request.send(&contended).await;
        assert_eq!((lost.status, lost.code().as_str()), (503, "service_unavailable"), "{}", lost.text);
        assert_eq!(lost.json()["detail"], "Concurrent update: retry the request.");
        assert!(lost.header("Retry-After").is_some());
        assert_eq!(upstreams.updates.load(Ordering::SeqCst), 8, "attempts");
    }
    upstreams.contended.store(false, Ordering::SeqCst);
    for request in &requests {
        let retried = request.send(&contended).await;
        assert_eq!((retried.status, retried.header("Idempotent-Replayed")), (200, None), "{}", retried.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_race_is_never_a_conflict() {
    let service = TestService::start().await;
    let order = service.draft().await;
    let body = service.body();
    let put = |key: usize| {
        ApiRequest::finance("PUT", &format!("{ORDERS}/{order}"))
            .header("Idempotency-Key", format!("k{key}"))
            .json(&body)
    };
    let mut running = JoinSet::new();
    for key in 0..40 {
        let (router, request) = (service.router.clone(), put(key));
        running.spawn(async move { (key, request.send(&router).await) });
    }
    for (key, mut response) in running.join_all().await {
        if response.status == 503 {
            assert!(response.header("Retry-After").is_some());
            response = put(key).send(&service.router).await;
        }
        assert_eq!(response.status, 200, "{}", response.text);
    }
    assert_eq!(service.read(&order).await["order"]["version"], json!(41), "one effect per key");
}
