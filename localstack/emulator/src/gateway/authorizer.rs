//! The Lambda authorizer (TOKEN) and its cache.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html>

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use serde::Deserialize;
use serde_json::{Value, json};

use super::gateway_response::GatewayError;
use super::policy::Policy;
use crate::deployment;
use crate::lambda::sync::lock;
use crate::lambda::{Invocation, Invoke};

/// Maximum number of cached tokens.
const CACHE_SIZE: usize = 10_000;

/// The authorizer's output for a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authorization {
    /// `principalId`.
    pub(super) principal_id: String,
    /// `context`, which functions receive.
    pub(super) context: BTreeMap<String, String>,
    /// `policyDocument`.
    pub(super) policy: Policy,
}

/// The output for one token, pending or cached, shared by all requests with the token.
type SharedAuthorization = Shared<BoxFuture<'static, Result<Arc<Authorization>, GatewayError>>>;

/// A TOKEN authorizer.
pub(super) struct Authorizer {
    /// The template's settings.
    pub(super) settings: deployment::Authorizer,
    functions: Arc<dyn Invoke>,
    cache: Mutex<HashMap<String, (SharedAuthorization, Instant)>>,
}

impl Authorizer {
    pub(super) fn new(settings: deployment::Authorizer, functions: Arc<dyn Invoke>) -> Self {
        Self { settings, functions, cache: Mutex::default() }
    }

    /// Authorizes a token. Concurrent requests with the same token share one invocation. A failure is not cached.
    ///
    /// # Errors
    /// The gateway response to send.
    pub(super) async fn authorize(
        &self,
        token: &str,
        method_arn: &str,
    ) -> Result<Arc<Authorization>, GatewayError> {
        if self.settings.cache.is_zero() {
            return self.invoke(token, method_arn).await;
        }
        let shared = self.cached(token, method_arn);
        let result = shared.clone().await;
        if result.is_err() {
            let mut cache = lock(&self.cache);
            if cache.get(token).is_some_and(|(cached, _)| cached.ptr_eq(&shared)) {
                cache.remove(token);
            }
        }
        result
    }

    fn cached(&self, token: &str, method_arn: &str) -> SharedAuthorization {
        let mut cache = lock(&self.cache);
        match cache.get(token) {
            Some((shared, since)) if since.elapsed() < self.settings.cache => return shared.clone(),
            Some(_) | None => {}
        }
        if cache.len() >= CACHE_SIZE {
            cache.retain(|_, (_, since)| since.elapsed() < self.settings.cache);
        }
        if cache.len() >= CACHE_SIZE {
            cache.clear();
        }
        let shared = self.invoke(token, method_arn).shared();
        cache.insert(token.to_owned(), (shared.clone(), Instant::now()));
        shared
    }

    fn invoke(
        &self,
        token: &str,
        method_arn: &str,
    ) -> BoxFuture<'static, Result<Arc<Authorization>, GatewayError>> {
        let event = json!({ "type": "TOKEN", "authorizationToken": token, "methodArn": method_arn });
        let functions = Arc::clone(&self.functions);
        let function = self.settings.function.clone();
        Box::pin(async move {
            match functions.invoke(&function, Bytes::from(event.to_string())).await {
                Ok(invocation) => read(&invocation).map(Arc::new),
                Err(error) => {
                    tracing::warn!(function, %error, "the authorizer was not invoked");
                    Err(GatewayError::AuthorizerFailure)
                }
            }
        })
    }
}

/// The error message with which an authorizer requests a 401 response.
const UNAUTHORIZED: &str = "Unauthorized";

fn read(invocation: &Invocation) -> Result<Authorization, GatewayError> {
    if invocation.function_error.is_some() {
        let message = invocation.error_message();
        if message.as_deref() == Some(UNAUTHORIZED) {
            return Err(GatewayError::Unauthorized);
        }
        tracing::error!(request_id = invocation.request_id, message, "the authorizer failed");
        return Err(GatewayError::AuthorizerFailure);
    }
    parse(&invocation.payload).map_err(|reason| {
        tracing::error!(
            request_id = invocation.request_id,
            reason,
            "the output of the authorizer is malformed"
        );
        GatewayError::AuthorizerConfigurationError
    })
}

fn parse(payload: &[u8]) -> Result<Authorization, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Output {
        principal_id: String,
        policy_document: Value,
        #[serde(default)]
        context: Option<BTreeMap<String, Value>>,
    }
    let output: Output = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let mut context = BTreeMap::new();
    for (name, value) in output.context.unwrap_or_default() {
        let value = scalar(&name, value)?;
        context.insert(name, value);
    }
    Ok(Authorization {
        principal_id: output.principal_id,
        context,
        policy: Policy::parse(&output.policy_document).map_err(|error| error.to_string())?,
    })
}

/// Converts a context value to a string. As on AWS, an array or an object is an error.
fn scalar(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("context.{name} is not a string, number or boolean"))
        }
    }
}
