//! Requests as API Gateway sends them to a function, and the responses.

use axum::Router;
use axum::http::HeaderMap;
use erp_auth::{Verified, context};
use erp_domain::identity::{Caller, Role};
use erp_domain::{EmailAddress, Id, Timestamp};
use erp_http::app::keep_repeated_headers;
use http_body_util::BodyExt;
use lambda_http::request::LambdaRequest;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

/// A builder of a request.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    caller: Option<Verified>,
    source_ip: String,
    base_path: String,
}

/// A response.
#[derive(Debug, Clone)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body's text.
    pub text: String,
}

impl ApiResponse {
    /// Returns the body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Returns the `data` of the envelope.
    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// Returns the `code` of the problem document.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the pointers and parameters of the validation errors.
    pub fn invalid_fields(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        let name = |error: &Value| {
            error["pointer"].as_str().or(error["parameter"].as_str()).unwrap_or("?").to_owned()
        };
        errors.iter().map(name).collect()
    }

    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Returns a user with a role.
pub fn user(role: Role) -> Caller {
    let email = EmailAddress::parse(&format!("{role}@example.com")).unwrap();
    Caller::User { id: Id::new(Uuid::from_u128(1 + role as u128)), email, role }
}

impl ApiRequest {
    /// Creates a request without a caller.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: None,
            caller: None,
            source_ip: "127.0.0.1".into(),
            base_path: String::new(),
        }
    }

    /// Creates a request of a finance manager.
    pub fn finance(method: &str, path: &str) -> Self {
        Self::new(method, path).caller(user(Role::FinanceManager))
    }

    /// Creates a request of an inventory manager.
    pub fn inventory(method: &str, path: &str) -> Self {
        Self::new(method, path).caller(user(Role::InventoryManager))
    }

    /// Sets the caller in the authorizer context.
    #[must_use]
    pub fn caller(mut self, caller: Caller) -> Self {
        let expires_at = Timestamp::from_millis(i64::from(u32::MAX) * 1000);
        self.caller = Some(Verified { caller, expires_at });
        self
    }

    /// Sets the expiry of the token.
    #[must_use]
    pub fn expires(mut self, at: Timestamp) -> Self {
        if let Some(verified) = &mut self.caller {
            verified.expires_at = at;
        }
        self
    }

    /// Sets the source IP address.
    #[must_use]
    pub fn from_address(mut self, source_ip: &str) -> Self {
        source_ip.clone_into(&mut self.source_ip);
        self
    }

    /// Sets what precedes the path in the client's URL: a stage (`/dev`) or a base path.
    #[must_use]
    pub fn below(mut self, base_path: &str) -> Self {
        base_path.clone_into(&mut self.base_path);
        self
    }

    /// Adds a header value.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.text(&body.to_string(), "application/json")
    }

    /// Sets a body and its content type.
    #[must_use]
    pub fn text(mut self, body: &str, content_type: &str) -> Self {
        self.body = Some(body.to_owned());
        self.header("Content-Type", content_type)
    }

    /// Returns the Lambda event.
    ///
    /// The stage is `$default`, which `lambda_http` leaves out of the path: deployed functions set
    /// `AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH` for that, and a test cannot set its environment.
    pub fn event(&self) -> Value {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let (query, multi_query) = maps(query.split('&').filter_map(|pair| pair.split_once('=')));
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let (headers, multi_headers) = maps(std::iter::once(("Host", "localhost")).chain(headers));
        let authorizer = self.caller.as_ref().map(context::to_fields);
        json!({
            "resource": path, "path": path, "httpMethod": self.method,
            "headers": headers, "multiValueHeaders": multi_headers,
            "queryStringParameters": query, "multiValueQueryStringParameters": multi_query,
            "pathParameters": {}, "stageVariables": null,
            "requestContext": {
                "accountId": "000000000000", "apiId": "local", "stage": "$default", "httpMethod": self.method,
                "path": format!("{}{path}", self.base_path), "resourcePath": path, "requestId": "test-request", "protocol": "HTTP/1.1",
                "identity": {"sourceIp": self.source_ip}, "authorizer": authorizer, "requestTimeEpoch": 0,
            },
            "body": self.body, "isBase64Encoded": false,
        })
    }

    /// Sends the request to a router the way Lambda does.
    pub async fn send(&self, router: &Router) -> ApiResponse {
        send_event(&self.event(), router).await
    }
}

/// Returns the last value of each name, and all its values.
fn maps<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> (Value, Value) {
    let (mut single, mut multiple) = (json!({}), json!({}));
    for (name, value) in pairs {
        single[name] = json!(value);
        match multiple[name].as_array_mut() {
            Some(values) => values.push(json!(value)),
            None => multiple[name] = json!([value]),
        }
    }
    (single, multiple)
}

/// Sends the event of a request to a router the way Lambda does.
pub async fn send_event(event: &Value, router: &Router) -> ApiResponse {
    let event: LambdaRequest = serde_json::from_str(&event.to_string()).unwrap();
    let request: lambda_http::Request = keep_repeated_headers(event).into();
    let (parts, body) = request.into_parts();
    let request = axum::http::Request::from_parts(parts, axum::body::Body::new(body));
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    ApiResponse { status: parts.status.as_u16(), headers: parts.headers, text }
}
