//! `AWS::Serverless::Function`: the globals merged in, its environment, its limits and its policies.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::deployment::{Function, Route, Statement, Trigger};

use super::events;
use super::problems::TemplatePath;
use super::properties::{Properties, scalar};
use super::resources::Resource;
use super::roles::Role;
use super::scope::Scope;

/// Default of AWS in MiB.
const DEFAULT_MEMORY: u32 = 128;
/// Default of AWS in seconds.
const DEFAULT_TIMEOUT: u64 = 3;

/// Properties without effect in the emulator.
const IGNORED: [&str; 15] = [
    "Architectures",
    "AutoPublishAliasAllProperties",
    "CodeSigningConfigArn",
    "CodeUri",
    "DeploymentPreference",
    "Description",
    "EphemeralStorage",
    "KmsKeyArn",
    "LoggingConfig",
    "PropagateTags",
    "ProvisionedConcurrencyConfig",
    "RuntimeManagementConfig",
    "Tags",
    "Tracing",
    "VersionDescription",
];

/// AWS managed policies for logs, traces and metrics.
const ACCEPTED_POLICIES: [&str; 4] = [
    "AWSLambdaBasicExecutionRole",
    "AWSXRayDaemonWriteAccess",
    "AWSXrayWriteOnlyAccess",
    "CloudWatchLambdaInsightsExecutionRolePolicy",
];

/// A function with its routes and triggers.
#[derive(Debug)]
pub(crate) struct ReadFunction {
    pub(crate) function: Function,
    pub(crate) routes: Vec<Route>,
    pub(crate) triggers: Vec<Trigger>,
}

/// Reads a function.
pub(crate) fn read(
    resource: &Resource,
    globals: &Value,
    roles: &[Role],
    scope: &Scope<'_>,
) -> Option<ReadFunction> {
    let at = resource.at();
    let own = scope.resolve(&resource.properties, &at).unwrap_or(Value::Null);
    let shared = scope.resolve(globals, &TemplatePath::top("Globals").key("Function")).unwrap_or(Value::Null);
    let mut reader = Properties::new(merged(shared, own), at, scope.problems);

    let name =
        reader.string("FunctionName").unwrap_or_else(|| scope.resources[&resource.id].reference.clone());
    if let Some(runtime) = reader.required_string("Runtime")
        && !runtime.starts_with("provided.")
    {
        reader.report_at("Runtime", format!("{runtime} is not supported; functions are native binaries"));
    }
    reader.string("Handler");
    if let Some(package) = reader.string("PackageType").filter(|package| package != "Zip") {
        reader.report_at("PackageType", format!("{package} is not supported"));
    }
    let memory_size = reader.number("MemorySize").unwrap_or(DEFAULT_MEMORY);
    let timeout = Duration::from_secs(reader.number("Timeout").unwrap_or(DEFAULT_TIMEOUT));
    let alias = reader.string("AutoPublishAlias");
    let reserved_concurrency = reader.number("ReservedConcurrentExecutions");
    let environment = reader.object("Environment").map(environment).unwrap_or_default();
    let statements = match reader.string("Role") {
        Some(arn) => role(&arn, &mut reader, roles),
        None => policies(&mut reader, scope),
    };
    let events = reader.named_entries("Events").unwrap_or_default();
    reader.ignore(&IGNORED);
    reader.finish();

    let mut routes = Vec::new();
    let mut triggers = Vec::new();
    for (event, value, at) in events {
        match events::read(&resource.id, &event, Properties::new(value, at, scope.problems), scope) {
            Some(events::Event::Route(route)) => routes.push(route),
            Some(events::Event::Trigger(trigger)) => triggers.push(trigger),
            None => {}
        }
    }
    let function = Function {
        logical_id: resource.id.clone(),
        name,
        binary: resource.binary.clone()?,
        environment,
        memory_size,
        timeout,
        alias,
        reserved_concurrency,
        statements,
    };
    Some(ReadFunction { function, routes, triggers })
}

/// Merges `Globals.Function` and the function's properties as SAM does: objects by key, lists by
/// concatenation, other values by replacement.
fn merged(shared: Value, own: Value) -> Value {
    match (shared, own) {
        (Value::Object(mut shared), Value::Object(own)) => {
            for (key, value) in own {
                let value = match shared.remove(&key) {
                    Some(base) => merged(base, value),
                    None => value,
                };
                shared.insert(key, value);
            }
            Value::Object(shared)
        }
        (Value::Array(mut shared), Value::Array(own)) => {
            shared.extend(own);
            Value::Array(shared)
        }
        (shared, Value::Null) => shared,
        (_, own) => own,
    }
}

fn environment(mut reader: Properties<'_>) -> BTreeMap<String, String> {
    let variables = reader.named_entries("Variables").unwrap_or_default();
    let mut environment = BTreeMap::new();
    for (name, value, _) in variables {
        match scalar(&value) {
            Some(text) => {
                environment.insert(name, text);
            }
            None if value.is_null() => {}
            None => {
                reader.report_at(&format!("Variables.{name}"), format!("must be a string, but is {value}"))
            }
        }
    }
    reader.finish();
    environment
}

/// The statements of a role of the template.
fn role(arn: &str, reader: &mut Properties<'_>, roles: &[Role]) -> Vec<Statement> {
    if reader.value("Policies").is_some() {
        reader.report_at("Policies", "SAM ignores them in a function that has a Role");
    }
    match roles.iter().find(|role| role.arn == arn) {
        Some(role) => role.statements.clone(),
        None => {
            reader.report_at("Role", format!("{arn} is not a role of Lambda in this template"));
            Vec::new()
        }
    }
}

/// Reports a managed policy that is not one of [`ACCEPTED_POLICIES`].
pub(crate) fn check_managed_policy(name: &str, at: &TemplatePath, scope: &Scope<'_>) {
    let plain = name.rsplit('/').next().unwrap_or(name);
    if !ACCEPTED_POLICIES.contains(&plain) {
        scope.problems.report(at, format!("the managed policy {name} is not supported"));
    }
}

/// The statements of inline policies. A managed policy must be one of [`ACCEPTED_POLICIES`].
fn policies(reader: &mut Properties<'_>, scope: &Scope<'_>) -> Vec<Statement> {
    let at = reader.at().key("Policies");
    let policies = match reader.value("Policies") {
        Some(Value::Array(list)) => list,
        Some(single) => vec![single],
        None => Vec::new(),
    };
    let mut statements = Vec::new();
    for (i, policy) in policies.into_iter().enumerate() {
        let at = at.index(i);
        match policy {
            Value::String(name) => check_managed_policy(&name, &at, scope),
            Value::Object(map) if !map.contains_key("Statement") => {
                let names: Vec<_> = map.keys().cloned().collect();
                let names = names.join(", ");
                scope.problems.report(
                    &at,
                    format!("the policy template {names} is not supported; use inline statements"),
                );
            }
            document => statements.extend(policy_document(Properties::new(document, at, scope.problems))),
        }
    }
    statements
}

/// The statements of a policy document.
pub(crate) fn policy_document(mut document: Properties<'_>) -> Vec<Statement> {
    let statements = document.objects("Statement").unwrap_or_default();
    document.ignore(&["Version", "Id"]);
    document.finish();
    statements.into_iter().filter_map(statement).collect()
}

fn statement(mut reader: Properties<'_>) -> Option<Statement> {
    let effect = reader.required_string("Effect");
    let actions = reader.strings("Action");
    let resources = reader.strings("Resource");
    reader.ignore(&["Sid"]);
    match effect.as_deref() {
        Some("Allow") => {}
        Some(other) => reader.report_at("Effect", format!("{other} is not supported; only Allow is")),
        None => {}
    }
    if actions.is_none() || resources.is_none() {
        reader.report("needs an Action and a Resource");
    }
    // NotAction, NotResource and Condition are not supported and therefore rejected.
    reader.finish();
    Some(Statement { actions: actions?, resources: resources? })
}
