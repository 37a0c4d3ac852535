//! The Lambda proxy event.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format>

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::context::{API_ID, Context};
use super::encoding::query_parameters;
use crate::deployment::ACCOUNT;

/// Hop-by-hop headers, which the gateway does not forward.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
];

/// Builds the proxy event of a request.
pub(super) fn proxy(
    context: &Context,
    headers: &HeaderMap,
    query: Option<&str>,
    path_parameters: &BTreeMap<String, String>,
    body: &Bytes,
) -> Value {
    let headers = forwarded(context, headers);
    let query = grouped(query_parameters(query.unwrap_or_default()));
    let (body, is_base64) = match std::str::from_utf8(body) {
        Ok("") => (Value::Null, false),
        Ok(text) => (json!(text), false),
        Err(_) => (json!(STANDARD.encode(body)), true),
    };
    json!({
        "resource": context.resource.as_ref().map(|(_, path)| path),
        "path": context.path,
        "httpMethod": context.method,
        "headers": last_of_each(&headers),
        "multiValueHeaders": headers,
        "queryStringParameters": or_null(last_of_each(&query)),
        "multiValueQueryStringParameters": or_null(json!(query)),
        "pathParameters": or_null(json!(path_parameters)),
        "stageVariables": null,
        "requestContext": request_context(context),
        "body": body,
        "isBase64Encoded": is_base64,
    })
}

fn request_context(context: &Context) -> Value {
    let (resource_id, resource_path) = context.resource.clone().unzip();
    let mut value = json!({
        "accountId": ACCOUNT,
        "apiId": API_ID,
        "domainName": context.domain,
        "domainPrefix": context.variable("domainPrefix"),
        "extendedRequestId": context.extended_request_id,
        "httpMethod": context.method,
        "identity": {
            "accessKey": null,
            "accountId": null,
            "caller": null,
            "cognitoAuthenticationProvider": null,
            "cognitoAuthenticationType": null,
            "cognitoIdentityId": null,
            "cognitoIdentityPoolId": null,
            "principalOrgId": null,
            "sourceIp": context.source_ip,
            "user": null,
            "userAgent": context.user_agent,
            "userArn": null,
        },
        "path": context.path,
        "protocol": context.protocol,
        "requestId": context.request_id,
        "requestTime": context.request_time(),
        "requestTimeEpoch": context.time.as_millisecond(),
        "resourceId": resource_id,
        "resourcePath": resource_path,
        "stage": context.stage,
    });
    if let Some(caller) = &context.authorizer {
        let mut authorizer: Map<String, Value> =
            caller.context.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        authorizer.insert("principalId".to_owned(), json!(caller.principal_id));
        authorizer.insert("integrationLatency".to_owned(), json!(caller.latency));
        value["authorizer"] = Value::Object(authorizer);
    }
    value
}

/// The headers by name, including those that the gateway adds. `Host` and `X-Forwarded-*` of the gateway replace those
/// of the client, because functions build URLs from them.
fn forwarded(context: &Context, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let kept = headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(name));
    let mut headers = grouped(
        kept.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())),
    );
    let host =
        context.port.map_or_else(|| context.domain.clone(), |port| format!("{}:{port}", context.domain));
    let mut hops = headers.remove("x-forwarded-for").unwrap_or_default();
    hops.push(context.source_ip.to_string());
    for (name, value) in [
        ("host", host),
        ("x-forwarded-for", hops.join(", ")),
        ("x-forwarded-port", context.port.unwrap_or(80).to_string()),
        ("x-forwarded-proto", "http".to_owned()),
    ] {
        headers.insert(name.to_owned(), vec![value]);
    }
    headers
}

fn grouped(pairs: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs {
        groups.entry(name).or_default().push(value);
    }
    groups
}

fn last_of_each(groups: &BTreeMap<String, Vec<String>>) -> Value {
    groups.iter().map(|(name, values)| (name.clone(), json!(values.last()))).collect()
}

/// Null instead of an empty object, as in the events of AWS.
fn or_null(value: Value) -> Value {
    if value.as_object().is_some_and(Map::is_empty) { Value::Null } else { value }
}
