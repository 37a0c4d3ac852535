//! dynoxide's HTTP server on a loopback port, with a runtime of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use dynoxide::Database;
use tokio::sync::oneshot;

/// Operations take turns at the database anyway; more threads would only wait in line.
const THREADS: usize = 4;
/// A request takes milliseconds. Past this, something holds a connection open that nobody will use again.
const STOP: Duration = Duration::from_secs(2);

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
                    // A sender that is gone means the same as one that has sent.
                    stopped.await.unwrap_or_default();
                };
                dynoxide::server::serve_with_shutdown(listener, database, shutdown).await
            });
            if let Err(error) = served {
                tracing::error!(error, "the DynamoDB server ended");
            }
            runtime.shutdown_timeout(STOP);
        })?;
        Ok(Self { address, stop, thread })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the requests in flight end, and waits for that.
    pub(super) async fn stop(self) {
        drop(self.stop);
        let thread = self.thread;
        let joined = tokio::time::timeout(STOP, tokio::task::spawn_blocking(move || thread.join()));
        if joined.await.is_err() {
            tracing::warn!("the DynamoDB server did not end in time");
        }
    }
}
