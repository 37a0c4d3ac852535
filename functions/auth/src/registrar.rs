//! Who registers somebody else.
//!
//! Registering is a public route at the gateway, since it must be open to the first user. Where it is closed to
//! others, this function looks at the token itself: it holds the key anyway. What it finds stands where the
//! authorizer's word stands on other routes, so that logs, events and kept answers know the caller.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use erp_auth::{Tokens, token};
use erp_domain::Clock;
use erp_http::{Kind, Problem, RequestInfo};

/// What it takes to know a registrar.
#[derive(Clone)]
pub struct Registrars {
    /// Reads tokens.
    pub tokens: Tokens,
    /// Tells whether they are good now.
    pub clock: Arc<dyn Clock>,
}

/// The middleware, for `axum::middleware::from_fn_with_state`. No token is no fault here: the first user has none.
pub async fn layer(State(registrars): State<Registrars>, mut request: Request, next: Next) -> Response {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return next.run(request).await;
    };
    let verified =
        header.to_str().ok().and_then(token::bearer).ok_or_else(|| "no bearer token".to_owned()).and_then(
            |token| {
                registrars.tokens.verify(token, registrars.clock.now()).map_err(|error| error.to_string())
            },
        );
    match verified {
        Ok(verified) => {
            let mut info = request.extensions().get::<RequestInfo>().cloned().unwrap_or_default();
            info.verified = Some(verified);
            request.extensions_mut().insert(info);
            next.run(request).await
        }
        Err(reason) => {
            tracing::info!(reason, "token refused");
            Problem::new(Kind::Unauthorized, "A valid bearer token is required.").into_response()
        }
    }
}
