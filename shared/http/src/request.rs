//! The small parts of a request: ids in paths, `If-Match`, `Idempotency-Key`.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use erp_contracts::{Expect, IdempotencyKey};
use erp_domain::Id;

use crate::{FieldError, Problem};

/// The `{id}` of the path.
#[derive(Debug, Clone, Copy)]
pub struct PathId<T>(pub Id<T>);

impl<S: Send + Sync, T> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(Problem::internal)?;
        let text = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, value)| value);
        text.parse().map(Self).map_err(|reason| Problem::invalid(vec![FieldError::parameter("id", &reason)]))
    }
}

/// The versions that a client says it changes.
#[derive(Debug, Clone, Default)]
pub struct IfMatch(pub Expect);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut values = parts.headers.get_all(IF_MATCH).iter().peekable();
        if values.peek().is_none() {
            return Ok(Self(Expect::Any));
        }
        // What is no version of ours (a weak tag too: RFC 9110 section 13.1.1 compares strongly) matches none.
        let tags = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let mut versions = Vec::new();
        for tag in tags.map(str::trim) {
            if tag == "*" {
                return Ok(Self(Expect::Any));
            }
            let version = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            versions.extend(version.and_then(|text| text.parse::<u64>().ok()));
        }
        Ok(Self(Expect::OneOf(versions)))
    }
}

/// The request's `Idempotency-Key`, if it has one; the layer puts it there.
#[derive(Debug, Clone, Default)]
pub struct Idempotency(pub Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
