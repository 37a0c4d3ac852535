//! Requests and answers.

use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a client waits for one answer: a cold start on a slow machine fits in.
const TIME_OUT: Duration = Duration::from_secs(30);

/// A client of the API.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `METHOD /path` of the request.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body's text.
    pub text: String,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer at all.
    #[error("{request}: no answer: {cause}")]
    NoAnswer {
        /// The request.
        request: String,
        /// Why.
        cause: reqwest::Error,
    },
    /// An answer, but not the one that must come.
    #[error("{request}: expected {expected}, got {status}: {text}")]
    Unexpected {
        /// The request.
        request: String,
        /// What must come.
        expected: String,
        /// What came.
        status: u16,
        /// With this body.
        text: String,
    },
    /// It did not become true in time.
    #[error("not within {within:?}: {what}; last seen: {seen}")]
    TooLate {
        /// What should become true.
        what: String,
        /// How long it was waited for.
        within: Duration,
        /// What was seen last.
        seen: String,
    },
}

impl Client {
    /// A client without a token.
    pub fn new(base: impl Into<String>) -> Self {
        Self { http: reqwest::Client::new(), base: base.into().trim_end_matches('/').to_owned(), token: None }
    }

    /// The same client with a token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// Where it sends its requests.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request, with a JSON body if there is one.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Error> {
        self.send_with(method, path, &[], body.map(Value::to_string)).await
    }

    /// Sends a request with headers and a body of any text; its content type is JSON unless the headers say other.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Answer, Error> {
        let request = format!("{method} {path}");
        let verb = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let mut builder = self.http.request(verb, format!("{}{path}", self.base)).timeout(TIME_OUT);
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
        let no_answer = |cause| Error::NoAnswer { request: request.clone(), cause };
        let response = builder.send().await.map_err(no_answer)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.map_err(no_answer)?;
        Ok(Answer { request, status, headers, text })
    }

    /// Reads again and again until what is read is so, or the time is over.
    ///
    /// # Errors
    /// When the time is over, with what was read last.
    pub async fn wait_for(
        &self,
        what: &str,
        path: &str,
        within: Duration,
        so: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Error> {
        let started = Instant::now();
        loop {
            let answer = self.send("GET", path, None).await?;
            if so(&answer) {
                return Ok(answer);
            }
            if started.elapsed() > within {
                return Err(Error::TooLate { what: what.to_owned(), within, seen: answer.text });
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The `data` of the envelope.
    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// A text in `data`, by JSON pointer; empty if there is none.
    pub fn text_at(&self, pointer: &str) -> String {
        self.json().pointer(&format!("/data{pointer}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The problem's `code`.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The answer, if it has this status.
    ///
    /// # Errors
    /// When it has another.
    pub fn expect(self, status: u16) -> Result<Self, Error> {
        let so = self.status == status;
        self.check(so, &status.to_string())
    }

    /// The answer, if it is so.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(self, so: bool, expected: &str) -> Result<Self, Error> {
        if so {
            return Ok(self);
        }
        let Self { request, status, text, .. } = self;
        Err(Error::Unexpected { request, expected: expected.to_owned(), status, text })
    }
}
