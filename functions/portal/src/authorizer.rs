//! The authorizer function as a client: it has the keys that verify tokens, and the portal has none.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use erp_auth::{Access, context};
use erp_aws::clients::preconnect_function;
use erp_aws::sdk_error_message;
use serde::Deserialize;
use serde_json::json;

/// The method for which tokens are verified. The policy in the response is not used, only the caller.
const METHOD_ARN: &str = "arn:aws:execute-api:-:-:-/-/GET/health";

/// Verifies tokens by invocations of the authorizer function.
#[derive(Debug, Clone)]
pub struct Authorizer {
    client: Client,
    function: String,
}

/// The output of the authorizer, as far as it is used.
#[derive(Deserialize)]
struct Output {
    context: BTreeMap<String, String>,
}

impl Authorizer {
    /// Creates a client of the function of this name.
    pub fn new(sdk: &SdkConfig, function: String) -> Self {
        Self { client: Client::new(sdk), function }
    }

    /// Opens the connection to Lambda.
    pub async fn preconnect(&self) {
        preconnect_function(&self.client, &self.function).await;
    }

    /// Returns whether an `Authorization` header has the token of a user. A token that is not valid, and that of a
    /// service, is not an error. Errors are for the log.
    pub async fn is_user(&self, header: &str) -> Result<bool, String> {
        let event = json!({"type": "TOKEN", "authorizationToken": header, "methodArn": METHOD_ARN});
        let request =
            self.client.invoke().function_name(&self.function).payload(Blob::new(event.to_string()));
        let response = request.send().await.map_err(|error| sdk_error_message(&error))?;
        let payload = response.payload.map(Blob::into_inner).unwrap_or_default();
        if response.function_error.is_some() {
            // `Unauthorized`, in general. The authorizer logs the reason.
            tracing::info!(error = %String::from_utf8_lossy(&payload), "token rejected");
            return Ok(false);
        }
        let Output { context } = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
        let verified = context::from_fields(|name| context.get(name).map(String::as_str));
        let verified = verified.ok_or("the context names no caller")?;
        Ok(Access::Manager.allows(&verified.caller))
    }
}
