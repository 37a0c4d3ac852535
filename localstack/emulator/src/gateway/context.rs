//! The `$context` variables of a request.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html>

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::{HOST, USER_AGENT};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use jiff::Timestamp;
use uuid::Uuid;

use crate::deployment::ACCOUNT;
use crate::lambda::clock::timestamp;

/// The id of the API.
pub(super) const API_ID: &str = "local";

/// The context of a request: everything except headers and body.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) request_id: String,
    pub(super) extended_request_id: String,
    pub(super) method: String,
    /// As sent by the client, percent-encoded.
    pub(super) path: String,
    pub(super) protocol: String,
    /// The requested host, without the port.
    pub(super) domain: String,
    /// The requested port, if the `Host` header has one.
    pub(super) port: Option<u16>,
    pub(super) source_ip: IpAddr,
    pub(super) user_agent: Option<String>,
    pub(super) stage: String,
    pub(super) time: Timestamp,
    /// Id and path of the resource, once it is matched.
    pub(super) resource: Option<(String, String)>,
    /// The caller, once authorized.
    pub(super) authorizer: Option<Caller>,
}

/// The output of the authorizer for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) principal_id: String,
    pub(super) context: BTreeMap<String, String>,
    /// Latency of the authorizer in milliseconds.
    pub(super) latency: u64,
}

impl Context {
    pub(super) fn new(request: &Parts, stage: &str) -> Self {
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        // Functions build URLs from the host, so it must be valid.
        let host: Option<Authority> = host.and_then(|host| host.parse().ok());
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
        let agent = request.headers.get(USER_AGENT);
        Self {
            request_id: Uuid::new_v4().to_string(),
            extended_request_id: Uuid::new_v4().simple().to_string()[..15].to_owned() + "=",
            method: request.method.to_string(),
            path: request.uri.path().to_owned(),
            protocol: format!("{:?}", request.version),
            domain: host.as_ref().map_or("localhost", |host| host.host()).to_owned(),
            port: host.as_ref().and_then(Authority::port_u16),
            source_ip: peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |ConnectInfo(peer)| peer.ip()),
            user_agent: agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned()),
            stage: stage.to_owned(),
            time: timestamp(),
            resource: None,
            authorizer: None,
        }
    }

    /// The time of the request in the common log format.
    pub(super) fn request_time(&self) -> String {
        self.time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
    }

    /// The value of a `$context` variable, named without `$context.`, except `error` variables.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let resource = self.resource.as_ref();
        match name {
            "accountId" => Some(ACCOUNT.to_owned()),
            "apiId" => Some(API_ID.to_owned()),
            "domainName" => Some(self.domain.clone()),
            "domainPrefix" => self.domain.split('.').next().map(str::to_owned),
            "extendedRequestId" => Some(self.extended_request_id.clone()),
            "httpMethod" => Some(self.method.clone()),
            "identity.sourceIp" => Some(self.source_ip.to_string()),
            "identity.userAgent" => self.user_agent.clone(),
            "path" => Some(self.path.clone()),
            "protocol" => Some(self.protocol.clone()),
            "requestId" => Some(self.request_id.clone()),
            "requestTime" => Some(self.request_time()),
            "requestTimeEpoch" => Some(self.time.as_millisecond().to_string()),
            "resourceId" => resource.map(|(id, _)| id.clone()),
            "resourcePath" => resource.map(|(_, path)| path.clone()),
            "stage" => Some(self.stage.clone()),
            other => self.authorizer.as_ref()?.variable(other.strip_prefix("authorizer.")?),
        }
    }
}

impl Caller {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "principalId" => Some(self.principal_id.clone()),
            "integrationLatency" => Some(self.latency.to_string()),
            other => self.context.get(other).cloned(),
        }
    }
}
