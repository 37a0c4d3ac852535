//! The HTTP server of dynoxide on a loopback port, with its own runtime.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use dynoxide::Database;
use tokio::sync::oneshot;

/// Operations on the database are serialized, so more threads do not help.
const THREADS: usize = 4;
/// Longest wait for requests in flight at the end; a request takes milliseconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The running server.
pub(super) struct Backend {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Backend {
    /// Starts the server on a free port.
    pub(super) fn start(database: Database) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("dynamodb")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("dynamodb".to_owned()).spawn(move || {
            let served = runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).map_err(|e| e.to_string())?;
                let shutdown = async {
                    // A dropped sender is the signal to stop.
                    let (Ok(()) | Err(_)) = stopped.await;
                };
                dynoxide::server::serve_with_shutdown(listener, database, shutdown).await
            });
            if let Err(error) = served {
                tracing::error!(error, "the DynamoDB server failed");
            }
            runtime.shutdown_timeout(STOP_TIMEOUT);
        })?;
        Ok(Self { address, stop, thread })
    }

    /// The address on which it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server after the requests in flight.
    pub(super) async fn stop(self) {
        drop(self.stop);
        let thread = self.thread;
        let joined = tokio::time::timeout(STOP_TIMEOUT, tokio::task::spawn_blocking(move || thread.join()));
        if joined.await.is_err() {
            tracing::warn!("the DynamoDB server did not stop in time");
        }
    }
}
