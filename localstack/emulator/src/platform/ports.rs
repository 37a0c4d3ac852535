//! Listeners on loopback ports.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use super::StartError;

/// Listens on a port of the loopback interface, which other machines cannot reach; 0 picks a free port. `option` is
/// the command line option that sets the port.
pub(super) async fn listen(port: u16, option: &'static str) -> Result<(TcpListener, u16), StartError> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => StartError::PortInUse { port, option },
            _ => StartError::Port { port, source },
        })?;
    let port = listener.local_addr().map_err(|source| StartError::Port { port, source })?.port();
    Ok((listener, port))
}
