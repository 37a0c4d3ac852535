//! The HTTP/1.1 server of everything that listens: the gateway, the AWS endpoint, the Runtime API.
//!
//! It serves requests for loopback host names only, so that a web page cannot reach it through a DNS name that
//! resolves to 127.0.0.1 (DNS rebinding). It closes connections whose request does not arrive in time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use uuid::Uuid;

/// The pause after a failed `accept`, which fails again at once while the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits on the time that a client may take to send a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadTimeouts {
    /// For the request line and the headers; an idle keep-alive connection is closed after the same time.
    pub(crate) headers: Duration,
    /// For the whole body.
    pub(crate) body: Duration,
}

impl Default for ReadTimeouts {
    fn default() -> Self {
        Self { headers: Duration::from_secs(30), body: Duration::from_secs(30) }
    }
}

/// The body of a request did not arrive within [`ReadTimeouts::body`].
#[derive(Debug, thiserror::Error)]
#[error("the request body did not arrive in time")]
pub(crate) struct BodyTimeout;

impl BodyTimeout {
    /// Returns true for this error, and for an error with it among its sources.
    pub(crate) fn is_source_of(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Self>())
    }
}

/// Settings of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// None where clients are trusted, and slow by design: a runtime streams its response for minutes.
    pub(crate) timeouts: Option<ReadTimeouts>,
    /// Host names that are served besides the loopback names.
    pub(crate) other_hosts: &'static [&'static str],
}

/// A router that is being served in a task.
#[derive(Debug)]
pub(crate) struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves until [`stop`](Self::stop), or until the value is dropped.
    pub(crate) fn start(listener: TcpListener, router: Router, settings: Settings) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, settings, stop.clone()));
        Self { stop, task }
    }

    /// Accepts no more connections and waits up to `grace` for the requests in flight.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        match tokio::time::timeout(grace, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a server task failed"),
            Err(_) => self.task.abort(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves `router` until `stop` is cancelled and the requests in flight have ended. Handlers find the address of
/// the client in [`ConnectInfo`].
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    settings: Settings,
    stop: CancellationToken,
) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let handler = Arc::new(Handler { router, port, settings });
    let connections = GracefulShutdown::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => connect(&handler, &connections, stream, peer),
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

fn connect(handler: &Arc<Handler>, connections: &GracefulShutdown, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
    let shared = Arc::clone(handler);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let handler = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(handler.handle(request.map(Body::new), peer).await) }
    });
    let mut builder = http1::Builder::new();
    if let Some(timeouts) = handler.settings.timeouts {
        builder.timer(TokioTimer::new()).header_read_timeout(timeouts.headers);
    }
    let connection = connections.watch(builder.serve_connection(TokioIo::new(stream), service));
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, %peer, "a connection ended with an error");
        }
    });
}

struct Handler {
    router: Router,
    port: u16,
    settings: Settings,
}

impl Handler {
    async fn handle(&self, mut request: Request, peer: SocketAddr) -> Response {
        if let Err(host) = self.check_host(request.uri(), request.headers()) {
            return self.misdirected(&host, request.uri());
        }
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(timeouts) = self.settings.timeouts {
            request = request.map(|body| with_deadline(body, timeouts.body));
        }
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Checks the host that a request names, in `Host` and in an absolute request target.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err("(not exactly one Host header)".to_owned());
        };
        let host = String::from_utf8_lossy(host.as_bytes());
        for named in [Some(&*host), uri.authority().map(Authority::as_str)].into_iter().flatten() {
            if !is_served(named, self.port, self.settings.other_hosts) {
                return Err(named.to_owned());
            }
        }
        Ok(())
    }

    /// The 421 for a host that is not served.
    fn misdirected(&self, host: &str, uri: &Uri) -> Response {
        tracing::warn!(host, path = uri.path(), "a request for another host was refused");
        let port = self.port;
        let request_id = Uuid::new_v4().to_string();
        let problem = json!({
            "type": "urn:erp:problem:misdirected_request",
            "title": "Misdirected request",
            "status": 421,
            "detail": format!(
                "This server accepts requests for localhost:{port}, 127.0.0.1:{port} and [::1]:{port} only, not for {host}."
            ),
            "instance": uri.path(),
            "code": "misdirected_request",
            "request_id": request_id,
        });
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (HeaderName::from_static("x-request-id"), &request_id),
        ];
        (StatusCode::MISDIRECTED_REQUEST, headers, problem.to_string()).into_response()
    }
}

/// Returns true if `host`, with its port, names the loopback interface or is one of `others`. A missing port is port 80.
fn is_served(host: &str, port: u16, others: &[&str]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    // User information is no part of a Host header.
    if host.contains('@') || authority.port_u16().unwrap_or(80) != port {
        return false;
    }
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    matches!(name.as_str(), "localhost" | "127.0.0.1" | "[::1]")
        || name.ends_with(".localhost")
        || others.contains(&name.as_str())
}

/// The same body, which fails with [`BodyTimeout`] when it has not ended after `limit`.
fn with_deadline(body: Body, limit: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let deadline = Instant::now() + limit;
    let frames = futures_util::stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(frame) => Some((frame?.map_err(axum::Error::into_inner), Some(body))),
            Err(_) => Some((Err(BodyTimeout.into()), None)),
        }
    });
    Body::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const QUICK: ReadTimeouts =
        ReadTimeouts { headers: Duration::from_millis(150), body: Duration::from_millis(150) };

    async fn start(timeouts: Option<ReadTimeouts>) -> (Server, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", post(|body: Bytes| async move { body }));
        (Server::start(listener, router, Settings { timeouts, other_hosts: &["docker.example"] }), address)
    }

    /// Sends text and reads until the server closes the connection.
    async fn exchange(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut received = String::new();
        let read = stream.read_to_string(&mut received);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("the server closes it").unwrap();
        received
    }

    #[test]
    fn only_loopback_names_with_the_right_port_are_served() {
        for (host, served) in [
            ("localhost:8000", true),
            ("LOCALHOST:8000", true),
            ("localhost.:8000", true),
            ("127.0.0.1:8000", true),
            ("[::1]:8000", true),
            ("erp.localhost:8000", true),
            ("docker.example:8000", true),
            ("localhost", false),
            ("localhost:8001", false),
            ("evil.example:8000", false),
            ("localhost.evil.example:8000", false),
            ("evillocalhost:8000", false),
            ("127.0.0.1.evil.example:8000", false),
            ("user@localhost:8000", false),
            ("", false),
        ] {
            assert_eq!(is_served(host, 8000, &["docker.example"]), served, "{host}");
        }
        assert!(is_served("localhost", 80, &[]), "port 80 need not be named");
    }

    #[tokio::test]
    async fn a_request_for_another_host_is_refused() {
        let (server, address) = start(None).await;
        let port = address.port();
        for (target, hosts, status) in [
            ("/", format!("Host: 127.0.0.1:{port}\r\n"), "200"),
            ("/", format!("Host: rebound.example:{port}\r\n"), "421"),
            ("/", format!("Host: localhost:{port}\r\nHost: rebound.example:{port}\r\n"), "421"),
            ("/", String::new(), "421"),
            (&format!("http://rebound.example:{port}/"), format!("Host: localhost:{port}\r\n"), "421"),
        ] {
            let request =
                format!("POST {target} HTTP/1.1\r\n{hosts}Connection: close\r\nContent-Length: 0\r\n\r\n");
            let response = exchange(address, &request).await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{request}{response}");
        }
        server.stop(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn slow_requests_are_cut_off() {
        let (server, address) = start(Some(QUICK)).await;
        let port = address.port();
        for partial in [
            "POST / HTT".to_owned(),
            format!("POST / HTTP/1.1\r\nHost: localhost:{port}\r\n"),
            format!("POST / HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 9\r\n\r\nhal"),
        ] {
            let response = exchange(address, &partial).await;
            assert!(!response.starts_with("HTTP/1.1 200"), "{partial}: {response}");
        }
        let whole = format!("POST / HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 5\r\n\r\nwhole");
        let response = exchange(address, &whole).await;
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("whole"), "{response}");
        server.stop(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn a_stop_waits_for_a_request_in_flight_and_closes_idle_connections() {
        let (server, address) = start(None).await;
        let port = address.port();
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut busy = TcpStream::connect(address).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 5\r\n\r\n");
        busy.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let stop = tokio::spawn(server.stop(Duration::from_secs(10)));
        busy.write_all(b"whole").await.unwrap();
        let mut received = String::new();
        busy.read_to_string(&mut received).await.unwrap();
        assert!(received.starts_with("HTTP/1.1 200") && received.ends_with("whole"), "{received}");
        received.clear();
        idle.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "");
        stop.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "the port is free");
    }
}
