//! Authentication of a user who registers others.
//!
//! Registration is a public route at the gateway, because the first user has no token. Where registration is closed to
//! others, this layer verifies the token itself: the function holds the keys anyway. The verified caller replaces the
//! authorizer's context, so that logs, events and stored responses refer to the caller.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use erp_auth::{Tokens, token};
use erp_domain::Clock;
use erp_http::{Problem, ProblemKind, RequestInfo};

/// Verifies the tokens of callers of the registration route.
#[derive(Clone)]
pub struct RegistrationAuth {
    /// Verifies tokens.
    pub tokens: Tokens,
    /// The time at which they must be valid.
    pub clock: Arc<dyn Clock>,
}

/// The middleware, for `axum::middleware::from_fn_with_state`. A request without a token passes: the first user has none.
pub async fn layer(State(auth): State<RegistrationAuth>, mut request: Request, next: Next) -> Response {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return next.run(request).await;
    };
    let token = header.to_str().ok().and_then(token::bearer).ok_or_else(|| "no bearer token".to_owned());
    let verified = token
        .and_then(|token| auth.tokens.verify(token, auth.clock.now()).map_err(|error| error.to_string()));
    match verified {
        Ok(verified) => {
            let mut info = request.extensions().get::<RequestInfo>().cloned().unwrap_or_default();
            info.verified = Some(verified);
            request.extensions_mut().insert(info);
            next.run(request).await
        }
        Err(reason) => {
            tracing::info!(reason, "token rejected");
            Problem::new(ProblemKind::Unauthorized, "A valid bearer token is required.").into_response()
        }
    }
}
