//! The token authorizer and its cache.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html>

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use serde::Deserialize;
use serde_json::{Value, json};

use super::policy::Policy;
use super::refusal::Refusal;
use crate::deployment;
use crate::lambda::sync::lock;
use crate::lambda::{Invocation, Invoke};

/// Most tokens whose answers are kept.
const CACHE_SIZE: usize = 10_000;

/// What the authorizer says about a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// Who it is.
    pub(super) principal_id: String,
    /// What is handed to functions.
    pub(super) context: BTreeMap<String, String>,
    /// What the token may call.
    pub(super) policy: Policy,
}

/// One answer, for everybody who asked while it was on its way and for as long as it is kept.
type Answer = Shared<BoxFuture<'static, Result<Arc<Grant>, Refusal>>>;

/// A function that tells who a token belongs to.
pub(super) struct Authorizer {
    /// What the template says of it.
    pub(super) settings: deployment::Authorizer,
    functions: Arc<dyn Invoke>,
    cache: Mutex<HashMap<String, (Answer, Instant)>>,
}

impl Authorizer {
    pub(super) fn new(settings: deployment::Authorizer, functions: Arc<dyn Invoke>) -> Self {
        Self { settings, functions, cache: Mutex::default() }
    }

    /// Asks about a token. Whoever asks about the same token at the same time shares one invocation; a failure is
    /// told to all of them and not kept.
    ///
    /// # Errors
    /// What the gateway is to answer.
    pub(super) async fn ask(&self, token: &str, method_arn: &str) -> Result<Arc<Grant>, Refusal> {
        if self.settings.cache.is_zero() {
            return self.invoke(token, method_arn).await;
        }
        let answer = self.cached(token, method_arn);
        let result = answer.clone().await;
        if result.is_err() {
            let mut cache = lock(&self.cache);
            if cache.get(token).is_some_and(|(cached, _)| cached.ptr_eq(&answer)) {
                cache.remove(token);
            }
        }
        result
    }

    fn cached(&self, token: &str, method_arn: &str) -> Answer {
        let mut cache = lock(&self.cache);
        match cache.get(token) {
            Some((answer, asked)) if asked.elapsed() < self.settings.cache => return answer.clone(),
            Some(_) | None => {}
        }
        if cache.len() >= CACHE_SIZE {
            cache.retain(|_, (_, asked)| asked.elapsed() < self.settings.cache);
        }
        if cache.len() >= CACHE_SIZE {
            cache.clear();
        }
        let answer = self.invoke(token, method_arn).shared();
        cache.insert(token.to_owned(), (answer.clone(), Instant::now()));
        answer
    }

    fn invoke(&self, token: &str, method_arn: &str) -> BoxFuture<'static, Result<Arc<Grant>, Refusal>> {
        let event = json!({ "type": "TOKEN", "authorizationToken": token, "methodArn": method_arn });
        let functions = Arc::clone(&self.functions);
        let function = self.settings.function.clone();
        Box::pin(async move {
            match functions.invoke(&function, Bytes::from(event.to_string())).await {
                Ok(invocation) => read(&invocation).map(Arc::new),
                Err(error) => {
                    tracing::warn!(function, %error, "the authorizer cannot be asked");
                    Err(Refusal::AuthorizerFailure)
                }
            }
        })
    }
}

/// An error of exactly this message is how an authorizer says 401.
const UNAUTHORIZED: &str = "Unauthorized";

fn read(invocation: &Invocation) -> Result<Grant, Refusal> {
    if invocation.function_error.is_some() {
        let message = invocation.error_message();
        if message.as_deref() == Some(UNAUTHORIZED) {
            return Err(Refusal::Unauthorized);
        }
        tracing::error!(request_id = invocation.request_id, message, "the authorizer failed");
        return Err(Refusal::AuthorizerFailure);
    }
    parse(&invocation.payload).map_err(|reason| {
        tracing::error!(request_id = invocation.request_id, reason, "the authorizer's answer makes no sense");
        Refusal::AuthorizerConfigurationError
    })
}

fn parse(payload: &[u8]) -> Result<Grant, String> {
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
        let value = flat(&name, value)?;
        context.insert(name, value);
    }
    Ok(Grant {
        principal_id: output.principal_id,
        context,
        policy: Policy::parse(&output.policy_document).map_err(|error| error.to_string())?,
    })
}

/// Values reach functions as text; what is no single value is refused, as on AWS.
fn flat(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("context.{name} is not a single value"))
        }
    }
}
