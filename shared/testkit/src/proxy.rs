//! An HTTP proxy on a free loopback port, in front of the endpoint of a service: it counts connections and requests,
//! delays them, and loses some.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use http_body_util::BodyExt;

use crate::sdk::listen;

/// What is lost. The client gets no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The request: the service does not receive it.
    Request,
    /// The response: the service processes the request.
    Response,
}

/// The proxy of one endpoint.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The endpoint URL of the proxy.
    pub endpoint: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: String,
    client: reqwest::Client,
    delay: Duration,
    connections: AtomicUsize,
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    losses: Mutex<Vec<(String, Loss)>>,
}

impl Proxy {
    /// Starts a proxy of the endpoint `target` that delays each request. It ends with the test's runtime.
    pub async fn start(target: &str, delay: Duration) -> Self {
        let (listener, endpoint) = listen().await;
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            client: reqwest::Client::builder().build().unwrap(),
            delay,
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            losses: Mutex::default(),
        });
        let counted = shared.clone();
        let listener = listener.tap_io(move |_| {
            counted.connections.fetch_add(1, Ordering::SeqCst);
        });
        let router = Router::new().fallback(forward).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, shared }
    }

    /// Returns the number of connections that were opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of requests.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Returns the highest number of requests that were in flight at once.
    pub fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::SeqCst)
    }

    /// Loses each request whose path, `X-Amz-Target` or body contains `text`, or its response.
    pub fn lose(&self, text: &str, loss: Loss) {
        self.shared.losses.lock().unwrap().push((text.to_owned(), loss));
    }

    /// Loses nothing any more.
    pub fn recover(&self) {
        self.shared.losses.lock().unwrap().clear();
    }
}

/// Decrements the number of requests in flight when the request ends, also because the client closed the connection.
struct InFlight(Arc<Shared>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let in_flight = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_in_flight.fetch_max(in_flight, Ordering::SeqCst);
    let _in_flight = InFlight(shared.clone());
    tokio::time::sleep(shared.delay).await;

    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let target = parts.headers.get("x-amz-target").map(|target| target.to_str().unwrap()).unwrap_or_default();
    let text = format!("{} {target} {}", parts.uri, String::from_utf8_lossy(&body));
    let losses = shared.losses.lock().unwrap().clone();
    let loss = losses.iter().find(|(lost, _)| text.contains(lost)).map(|(_, loss)| *loss);
    if loss == Some(Loss::Request) {
        return std::future::pending().await;
    }
    let mut headers = parts.headers.clone();
    for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
        headers.remove(name);
    }
    let url = format!("{}{}", shared.target, parts.uri);
    let sent = shared.client.request(parts.method, url).headers(headers).body(body).send().await.unwrap();
    let (status, mut headers) = (sent.status(), sent.headers().clone());
    let body: Bytes = sent.bytes().await.unwrap();
    if loss == Some(Loss::Response) {
        return std::future::pending().await;
    }
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
        headers.remove(name);
    }
    (status, headers, body).into_response()
}
