//! Requests as API Gateway sends them to a function, and the answers.

use axum::Router;
use axum::http::HeaderMap;
use erp_auth::{Verified, context};
use erp_domain::identity::{Caller, Role};
use erp_domain::{Email, Id, Timestamp};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

/// A request in the making.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    caller: Option<(Caller, Timestamp)>,
    source_ip: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct ApiAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body's text.
    pub text: String,
}

impl ApiAnswer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The `data` of the envelope.
    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// The problem's `code`.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The pointers (or parameters) of the problem's faults.
    pub fn faults(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        let name = |error: &Value| {
            error["pointer"].as_str().or(error["parameter"].as_str()).unwrap_or("?").to_owned()
        };
        errors.iter().map(name).collect()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A user with this role.
pub fn user(role: Role) -> Caller {
    let id = Uuid::from_u128(1 + role as u128);
    Caller::User { id: Id::new(id), email: Email::parse(&format!("{role}@example.com")).unwrap(), role }
}

impl ApiRequest {
    /// A request without a caller.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: None,
            caller: None,
            source_ip: "127.0.0.1".into(),
        }
    }

    /// From a finance manager, who may do everything.
    pub fn finance(method: &str, path: &str) -> Self {
        Self::new(method, path).caller(user(Role::FinanceManager))
    }

    /// From an inventory manager.
    pub fn inventory(method: &str, path: &str) -> Self {
        Self::new(method, path).caller(user(Role::InventoryManager))
    }

    /// As the authorizer would say who calls.
    #[must_use]
    pub fn caller(mut self, caller: Caller) -> Self {
        self.caller = Some((caller, Timestamp::from_millis(i64::from(u32::MAX) * 1000)));
        self
    }

    /// With a token that ends then.
    #[must_use]
    pub fn expires(mut self, at: Timestamp) -> Self {
        if let Some((_, expires_at)) = &mut self.caller {
            *expires_at = at;
        }
        self
    }

    /// From another address.
    #[must_use]
    pub fn from_address(mut self, source_ip: &str) -> Self {
        source_ip.clone_into(&mut self.source_ip);
        self
    }

    /// With a header, or one more value of one.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.text(&body.to_string(), "application/json")
    }

    /// With a body of some content type.
    #[must_use]
    pub fn text(mut self, body: &str, content_type: &str) -> Self {
        self.body = Some(body.to_owned());
        self.header("Content-Type", content_type)
    }

    /// The event that Lambda gets.
    ///
    /// The stage is the one that `lambda_http` leaves out of the path: deployed functions have
    /// `AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH` set for that, and a test cannot set its environment.
    pub fn event(&self) -> Value {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let query: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let mut single = json!({});
        let mut multiple = json!({});
        for (name, value) in &query {
            single[name] = json!(value);
            match multiple[name].as_array_mut() {
                Some(values) => values.push(json!(value)),
                None => multiple[name] = json!([value]),
            }
        }
        let mut headers = json!({"Host": "localhost"});
        let mut multi_headers = json!({"Host": ["localhost"]});
        for (name, value) in &self.headers {
            headers[name] = json!(value);
            match multi_headers[name].as_array_mut() {
                Some(values) => values.push(json!(value)),
                None => multi_headers[name] = json!([value]),
            }
        }
        let authorizer = self.caller.as_ref().map(|(caller, expires_at)| {
            let verified = Verified { caller: caller.clone(), expires_at: *expires_at };
            json!(context::to_fields(&verified))
        });
        json!({
            "resource": path, "path": path, "httpMethod": self.method,
            "headers": headers, "multiValueHeaders": multi_headers,
            "queryStringParameters": single, "multiValueQueryStringParameters": multiple,
            "pathParameters": {}, "stageVariables": null,
            "requestContext": {
                "accountId": "000000000000", "apiId": "local", "stage": "$default", "httpMethod": self.method,
                "path": path, "resourcePath": path, "requestId": "test-request", "protocol": "HTTP/1.1",
                "identity": {"sourceIp": self.source_ip}, "authorizer": authorizer, "requestTimeEpoch": 0,
            },
            "body": self.body, "isBase64Encoded": false,
        })
    }

    /// Sends it to a service's router, by the way that a request takes in Lambda.
    pub async fn send(&self, router: &Router) -> ApiAnswer {
        send_event(&self.event(), router).await
    }
}

/// Sends the event of a request to a service's router, by the way that it takes in Lambda.
pub async fn send_event(event: &Value, router: &Router) -> ApiAnswer {
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let (parts, body) = request.into_parts();
    let request = axum::http::Request::from_parts(parts, axum::body::Body::new(body));
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    ApiAnswer { status: parts.status.as_u16(), headers: parts.headers, text }
}
