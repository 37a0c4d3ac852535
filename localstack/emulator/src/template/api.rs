//! `AWS::Serverless::Api`: stage, authorizer, CORS and gateway responses. The routes are events of the
//! functions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::deployment::{Api, Authorizer, Cors, Function, GatewayResponse};

use super::problems::TemplatePath;
use super::properties::{Properties, scalar};
use super::resources::Resource;
use super::scope::Scope;

/// Default time to live in seconds of a cached authorizer result.
const DEFAULT_REAUTHORIZE: u64 = 300;

/// Properties without effect on the gateway's responses. Throttling is not emulated.
const IGNORED: [&str; 10] = [
    "AccessLogSetting",
    "AlwaysDeploy",
    "Description",
    "EndpointConfiguration",
    "MethodSettings",
    "Name",
    "OpenApiVersion",
    "PropagateTags",
    "Tags",
    "TracingEnabled",
];

/// Reads the API, without routes.
pub(crate) fn read(resource: &Resource, functions: &[Function], scope: &Scope<'_>) -> Api {
    let at = resource.at();
    let properties = scope.resolve(&resource.properties, &at).unwrap_or(Value::Null);
    let mut reader = Properties::new(properties, at, scope.problems);
    let stage = reader.required_string("StageName").unwrap_or_default();
    let cors_at = reader.at().key("Cors");
    let cors = reader.value("Cors").map(|value| read_cors(value, cors_at, scope));
    let authorizer = reader.object("Auth").and_then(|auth| read_auth(auth, cors.is_some(), functions));
    let mut gateway_responses = BTreeMap::new();
    for (kind, value, at) in reader.named_entries("GatewayResponses").unwrap_or_default() {
        let response = read_response(Properties::new(value, at, scope.problems));
        gateway_responses.insert(kind, response);
    }
    reader.ignore(&IGNORED);
    reader.finish();
    Api { stage, routes: Vec::new(), authorizer, cors, gateway_responses }
}

fn read_auth(mut auth: Properties<'_>, has_cors: bool, functions: &[Function]) -> Option<Authorizer> {
    let default = auth.string("DefaultAuthorizer");
    let on_preflight = auth.boolean("AddDefaultAuthorizerToCorsPreflight").unwrap_or(true);
    if default.is_some() && has_cors && on_preflight {
        auth.report_at(
            "AddDefaultAuthorizerToCorsPreflight",
            "must be false: a preflight request has no token, so the authorizer would reject it",
        );
    }
    let declared = auth.named_entries("Authorizers").unwrap_or_default();
    let mut authorizer = None;
    for (name, value, at) in declared {
        let is_default = default.as_ref() == Some(&name);
        let read = read_authorizer(auth.child(value, at), functions);
        if is_default {
            authorizer = read;
        } else {
            auth.report_at(
                &format!("Authorizers.{name}"),
                "is not the DefaultAuthorizer, the only one that is supported",
            );
        }
    }
    if let Some(name) = default.filter(|_| authorizer.is_none()) {
        auth.report_at("DefaultAuthorizer", format!("{name} is not among Authorizers, or is invalid"));
    }
    auth.finish();
    authorizer
}

fn read_authorizer(mut reader: Properties<'_>, functions: &[Function]) -> Option<Authorizer> {
    let arn = reader.required_string("FunctionArn");
    match reader.string("FunctionPayloadType").as_deref() {
        Some("TOKEN") | None => {}
        Some(other) => reader.report_at("FunctionPayloadType", format!("{other} is not supported; TOKEN is")),
    }
    let mut header = None;
    let mut cache = None;
    if let Some(mut identity) = reader.object("Identity") {
        header = identity.string("Header");
        cache = identity.number("ReauthorizeEvery");
        identity.finish();
    }
    let arn = arn?;
    let function = functions.iter().find(|function| {
        let rest = arn.strip_prefix(&crate::arn::function(&function.name));
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':') == function.alias.as_deref())
    });
    if function.is_none() {
        reader.report_at("FunctionArn", format!("{arn} is not a function of this template"));
    }
    reader.finish();
    Some(Authorizer {
        function: function?.logical_id.clone(),
        header: header.unwrap_or_else(|| "Authorization".to_owned()),
        cache: Duration::from_secs(cache.unwrap_or(DEFAULT_REAUTHORIZE)),
    })
}

fn read_cors(value: Value, at: TemplatePath, scope: &Scope<'_>) -> Cors {
    if let Some(origin) = value.as_str() {
        return Cors { allow_origin: unquoted(origin, &at, scope), ..Cors::default() };
    }
    let mut reader = Properties::new(value, at, scope.problems);
    let mut inner = |name: &'static str| {
        let text = reader.string(name)?;
        Some(unquoted(&text, &reader.at().key(name), scope))
    };
    let (origin, methods, headers, max_age) =
        (inner("AllowOrigin"), inner("AllowMethods"), inner("AllowHeaders"), inner("MaxAge"));
    reader.finish();
    Cors {
        allow_origin: origin.unwrap_or_default(),
        allow_methods: methods.unwrap_or_default(),
        allow_headers: headers.unwrap_or_default(),
        max_age,
    }
}

/// The literal in single quotes, which API Gateway requires.
fn unquoted(text: &str, at: &TemplatePath, scope: &Scope<'_>) -> String {
    match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inner) => inner.to_owned(),
        None => {
            scope
                .problems
                .report(at, format!("{text} must be in single quotes inside the string: \"'{text}'\""));
            text.to_owned()
        }
    }
}

fn read_response(mut reader: Properties<'_>) -> GatewayResponse {
    let status = reader.number("StatusCode");
    let mut headers = BTreeMap::new();
    if let Some(mut parameters) = reader.object("ResponseParameters") {
        for (name, value, _) in parameters.named_entries("Headers").unwrap_or_default() {
            match scalar(&value) {
                Some(text) if is_header_value(&text) => {
                    headers.insert(name, text);
                }
                Some(text) => parameters.report_at(
                    &format!("Headers.{name}"),
                    format!("{text} is neither a 'quoted' literal nor a context variable"),
                ),
                None if value.is_null() => {}
                None => parameters
                    .report_at(&format!("Headers.{name}"), format!("must be a string, but is {value}")),
            }
        }
        parameters.finish();
    }
    let mut template = None;
    if let Some(mut templates) = reader.object("ResponseTemplates") {
        template = templates.string("application/json");
        templates.finish();
    }
    reader.finish();
    GatewayResponse { status, headers, template }
}

fn is_header_value(text: &str) -> bool {
    text.starts_with("context.") || (text.len() >= 2 && text.starts_with('\'') && text.ends_with('\''))
}
