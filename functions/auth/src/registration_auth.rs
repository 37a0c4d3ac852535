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
use erp_http::{Problem, ProblemKind, RequestInfo};

use crate::domain::Registration;
use crate::service::Auth;

/// The middleware of the registration route. A request without a token passes: the first user has none.
pub async fn layer(State(auth): State<Arc<Auth>>, mut request: Request, next: Next) -> Response {
    let (Registration::Closed(_), Some(header)) = (auth.registration, request.headers().get(AUTHORIZATION))
    else {
        return next.run(request).await;
    };
    match auth.tokens.verify_header(header.to_str().ok(), auth.clock.now()) {
        Ok(verified) => {
            request.extensions_mut().get_or_insert_default::<RequestInfo>().verified = Some(verified);
            next.run(request).await
        }
        Err(reason) => {
            tracing::info!(%reason, "token rejected");
            Problem::new(ProblemKind::Unauthorized, "A valid bearer token is required.").into_response()
        }
    }
}
