//! Who calls, as a parameter of a handler: the signature of a handler tells who may use it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use erp_auth::Access;
use erp_domain::identity::Caller;

use crate::{Kind, Problem, RequestInfo};

fn caller(parts: &Parts, access: Access) -> Result<Caller, Problem> {
    // The authorizer stands in front of these routes. A request that comes without its word did not pass it.
    let verified = parts.extensions.get::<RequestInfo>().and_then(|info| info.verified.as_ref());
    let Some(verified) = verified else {
        return Err(Problem::new(Kind::Unauthorized, "A valid bearer token is required."));
    };
    if !access.allows(&verified.caller) {
        return Err(Problem::new(Kind::Forbidden, "The role of this token may not do this."));
    }
    Ok(verified.caller.clone())
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
    /// Any user, or a service.
    Reader
    /// Any user.
    Manager
    /// A finance manager.
    FinanceManager
}

/// Whoever calls, if the authorizer said who: for routes that are public.
#[derive(Debug, Clone)]
pub struct AnyCaller(pub Option<Caller>);

impl<S: Send + Sync> FromRequestParts<S> for AnyCaller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(caller(parts, Access::Public).ok()))
    }
}
