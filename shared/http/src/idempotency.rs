//! One `Idempotency-Key`, one effect, one answer.
//!
//! The layer looks for a kept answer before the handler runs. The handler's use case writes the answer in the
//! transaction of its effect, so there is no moment at which one is there without the other; if two identical
//! requests are in flight at once, one transaction loses, and its client gets the other's answer. A refusal has no
//! effect and so no transaction: the layer keeps it afterwards, so that the second answer is the first one too.
//! What says "try again" (429, 5xx) is not kept.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use erp_contracts::{AnswerStore, IdempotencyKey, IdempotencyRecord, StoreError};
use erp_domain::{Clock, Invalid};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Limited};
use sha2::Sha256;

use crate::body::{MAX_BODY_BYTES, too_large};
use crate::problem::Pending;
use crate::{FieldError, Idempotency, Kind, Problem, Reply, RequestInfo};

/// The header a client sends.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that says an answer is a kept one.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key, in characters.
pub const MAX_KEY_LENGTH: usize = 255;

/// What the layer needs.
#[derive(Clone)]
pub struct Layer {
    /// Where answers are kept.
    pub answers: Arc<dyn AnswerStore>,
    /// Decides how long.
    pub clock: Arc<dyn Clock>,
    /// Mixed into the fingerprints of bodies. Empty where bodies hold nothing secret; where they hold passwords it
    /// must be secret, or a fingerprint could be used to guess them.
    pub pepper: Arc<[u8]>,
}

/// The middleware, for `axum::middleware::from_fn_with_state`.
pub async fn layer(State(layer): State<Layer>, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::POST | Method::PUT)
        || !request.headers().contains_key(IDEMPOTENCY_KEY)
    {
        return next.run(request).await;
    }
    match layer.handle(request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

impl Layer {
    async fn handle(&self, request: Request, next: Next) -> Result<Response, Problem> {
        let (mut parts, body) = request.into_parts();
        let header = |reason: &str| {
            Problem::invalid(vec![FieldError::parameter("Idempotency-Key", &Invalid::new(reason))])
        };
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return Err(header("must be given once"));
        };
        let key = key.to_str().map_err(|_| header("must be visible ASCII"))?.trim();
        if key.is_empty() || key.len() > MAX_KEY_LENGTH {
            return Err(header(&format!("must have 1 to {MAX_KEY_LENGTH} characters")));
        }
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|_| too_large())?.to_bytes();

        let info = parts.extensions.get::<RequestInfo>().cloned().unwrap_or_default();
        let subject =
            info.verified.as_ref().map_or_else(|| "public".to_owned(), |verified| verified.caller.subject());
        let path = parts.uri.path().trim_end_matches('/');
        let key = IdempotencyKey {
            scope: self.hash(&[
                subject.as_bytes(),
                parts.method.as_str().as_bytes(),
                path.as_bytes(),
                key.as_bytes(),
            ]),
            fingerprint: self.hash(&[&body, if_match(&parts.headers)]),
        };
        if let Some(record) = self.answers.find_answer(&key).await? {
            return replay(&key, record);
        }
        parts.extensions.insert(Idempotency(Some(key.clone())));
        let response = next.run(Request::from_parts(parts, body.into())).await;
        self.settle(&key, response, &info).await
    }

    /// Keeps a refusal, or finds the answer that somebody else gave in the meantime.
    async fn settle(
        &self,
        key: &IdempotencyKey,
        response: Response,
        info: &RequestInfo,
    ) -> Result<Response, Problem> {
        let refusal = response.extensions().get::<Pending>().and_then(|Pending(problem)| {
            let problem = problem.lock().ok()?;
            let problem = problem.as_ref()?;
            if problem.is_answered() {
                return Some(None);
            }
            let final_word =
                (400..500).contains(&problem.kind.status()) && problem.kind != Kind::TooManyRequests;
            // Who may do what can change, and then the answer must.
            let of_the_caller = matches!(problem.kind, Kind::Unauthorized | Kind::Forbidden);
            (final_word && !of_the_caller).then(|| Some(problem.answer(&info.path, &info.request_id)))
        });
        match refusal {
            None => Ok(response),
            Some(None) => match self.answers.find_answer(key).await? {
                Some(record) => replay(key, record),
                None => Ok(response),
            },
            Some(Some(answer)) => {
                match self.answers.keep_answer(&key.record(&answer, self.clock.now())).await {
                    Ok(()) => Ok(response),
                    Err(StoreError::Answered) => match self.answers.find_answer(key).await? {
                        Some(record) => replay(key, record),
                        None => Ok(response),
                    },
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    fn hash(&self, parts: &[&[u8]]) -> String {
        // A key of any length is fine for HMAC, so this cannot fail; if it did, no key would ever match.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.pepper) else {
            return String::new();
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A condition is part of what is asked.
fn if_match(headers: &axum::http::HeaderMap) -> &[u8] {
    headers.get(axum::http::header::IF_MATCH).map_or(&[], HeaderValue::as_bytes)
}

fn replay(key: &IdempotencyKey, record: IdempotencyRecord) -> Result<Response, Problem> {
    if record.key.fingerprint != key.fingerprint {
        let detail = "This Idempotency-Key came with another body before; use a new key for a new request.";
        return Err(Problem::new(Kind::IdempotencyKeyReused, detail));
    }
    let mut response = Reply(record.answer).into_response();
    response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
