//! Requests and responses.

use std::time::{Duration, Instant};

use serde_json::Value;

/// Timeout of one request, long enough for a cold start on a slow machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of the API.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// A response, with its body read as text.
#[derive(Debug, Clone)]
pub struct Response {
    /// `METHOD /path` of the request.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body.
    pub text: String,
}

/// An error of a request or of an expectation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The method is not an HTTP token.
    #[error("{request}: this is not an HTTP method")]
    InvalidMethod {
        /// The request.
        request: String,
    },
    /// There was no response.
    #[error("{request}: no response: {cause}")]
    NoResponse {
        /// The request.
        request: String,
        /// The cause.
        cause: reqwest::Error,
    },
    /// The response is not the expected one.
    #[error("{request}: expected {expected}, got {status}: {text}")]
    Unexpected {
        /// The request.
        request: String,
        /// The expectation.
        expected: String,
        /// The status.
        status: u16,
        /// The body.
        text: String,
    },
    /// A condition did not become true in time.
    #[error("not within {within:?}: {what}; last response: {last}")]
    Timeout {
        /// The condition.
        what: String,
        /// The time limit.
        within: Duration,
        /// The body of the last response.
        last: String,
    },
}

impl Client {
    /// A client without a token.
    #[expect(clippy::disallowed_methods, reason = "each request has a time-out of its own")]
    pub fn new(base: impl Into<String>) -> Self {
        Self { http: reqwest::Client::new(), base: base.into().trim_end_matches('/').to_owned(), token: None }
    }

    /// The same client with a token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The base URL, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request, with an optional JSON body.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response, Error> {
        self.send_with(method, path, &[], body.map(Value::to_string)).await
    }

    /// Sends a request with headers and any text as its body. The content type is JSON unless a header sets it.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Response, Error> {
        let request = format!("{method} {path}");
        let Ok(verb) = reqwest::Method::from_bytes(method.as_bytes()) else {
            return Err(Error::InvalidMethod { request });
        };
        let mut builder = self.http.request(verb, format!("{}{path}", self.base)).timeout(REQUEST_TIMEOUT);
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token);
        }
        if let Some(body) = body {
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                builder = builder.header("content-type", "application/json");
            }
            builder = builder.body(body);
        }
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let no_response = |cause| Error::NoResponse { request: request.clone(), cause };
        let response = builder.send().await.map_err(no_response)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.map_err(no_response)?;
        Ok(Response { request, status, headers, text })
    }

    /// Polls a path until the response satisfies a condition. `what` describes the condition.
    ///
    /// # Errors
    /// When there is no response, or the condition does not hold within the time limit.
    pub async fn wait_for(
        &self,
        what: &str,
        path: &str,
        within: Duration,
        condition: impl Fn(&Response) -> bool,
    ) -> Result<Response, Error> {
        let started = Instant::now();
        loop {
            let response = self.send("GET", path, None).await?;
            if condition(&response) {
                return Ok(response);
            }
            if started.elapsed() > within {
                return Err(Error::Timeout { what: what.to_owned(), within, last: response.text });
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

impl Response {
    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The `data` of the success envelope.
    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// A string in `data`, by JSON pointer; empty if there is none.
    pub fn text_at(&self, pointer: &str) -> String {
        self.json().pointer(&format!("/data{pointer}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The problem's `code`.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the response if it has this status.
    ///
    /// # Errors
    /// When it has another status.
    pub fn expect(self, status: u16) -> Result<Self, Error> {
        let holds = self.status == status;
        self.check(holds, &status.to_string())
    }

    /// Returns the response if a condition holds, which `expected` describes.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn check(self, holds: bool, expected: &str) -> Result<Self, Error> {
        if holds {
            return Ok(self);
        }
        let Self { request, status, text, .. } = self;
        Err(Error::Unexpected { request, expected: expected.to_owned(), status, text })
    }
}
