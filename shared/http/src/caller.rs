//! The caller as a handler parameter: the signature of a handler shows who may call it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use erp_auth::Access;
use erp_domain::identity::Caller;

use crate::{Problem, ProblemKind, RequestInfo};

fn caller(parts: &Parts, access: Access) -> Result<Caller, Problem> {
    // API Gateway adds the authorizer's context; a request without it did not pass the authorizer.
    let verified = parts.extensions.get::<RequestInfo>().and_then(|info| info.verified.as_ref());
    let unauthorized = || Problem::new(ProblemKind::Unauthorized, "A valid bearer token is required.");
    let caller = &verified.ok_or_else(unauthorized)?.caller;
    if !access.allows(caller) {
        let detail = "The role of this token does not permit this operation.";
        return Err(Problem::new(ProblemKind::Forbidden, detail));
    }
    Ok(caller.clone())
}

macro_rules! extractor {
    ($($(#[$doc:meta])+ $name:ident)+) => {$(
        $(#[$doc])+
        #[derive(Debug, Clone)]
        pub struct $name(pub Caller);

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;
            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                caller(parts, Access::$name).map(Self)
            }
        }
    )+};
}

extractor! {
    /// Requires a user of any role, or a service.
    Reader
    /// Requires a user of any role.
    Manager
    /// Requires a finance manager.
    FinanceManager
}

/// The caller of a public route, if the request is authenticated.
#[derive(Debug, Clone)]
pub struct OptionalCaller(pub Option<Caller>);

impl<S: Send + Sync> FromRequestParts<S> for OptionalCaller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(caller(parts, Access::Public).ok()))
    }
}
