//! An HTTP server that can be stopped.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A router being served.
#[derive(Debug)]
pub(super) struct Server {
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Serves until it is stopped.
    pub(super) fn start(listener: TcpListener, router: Router) -> Self {
        let stop = CancellationToken::new();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serve = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
        Self { stop, task: tokio::spawn(serve.into_future()) }
    }

    /// Takes no more connections, and gives the requests in flight this long to end.
    pub(super) async fn stop(mut self, patience: Duration) {
        self.stop.cancel();
        match tokio::time::timeout(patience, &mut self.task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "a server ended badly"),
            Ok(Err(error)) => tracing::warn!(%error, "a server broke off"),
            // A client that keeps half a request open must not keep the platform up.
            Err(_) => self.task.abort(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that fails drops its platform: the open connections must not keep the functions alive.
        self.stop.cancel();
    }
}
