//! `template.yaml` to a [`Deployment`].
//!
//! The same template deploys to AWS, so every part that the emulator does not support is reported with its
//! position: resource types, events, properties, functions and unresolved references, all in one run. Each
//! file below lists the properties that it reads and those without effect in the emulator; a typing error is
//! in neither list.
//!
//! ```text
//! yaml        YAML with CloudFormation's tags to JSON in the long form
//! problems    positions and problems
//! parameters  parameters and conditions
//! scope       Ref, GetAtt, Sub and the other intrinsic functions
//! dynamic     {{resolve:secretsmanager:…}}
//! properties  typed reading that reports unread properties
//! resources   the resources and their physical names
//! functions, events, api, tables, messaging, secret, roles   one kind of resource each
//! ```

mod api;
mod dynamic;
mod events;
mod functions;
mod messaging;
mod parameters;
mod problems;
mod properties;
mod resources;
mod roles;
mod scope;
mod secret;
mod tables;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::arn;
use crate::deployment::{Deployment, TriggerSource};
use crate::secrets::Secrets;

pub use problems::{Problem, TemplateError};

use problems::{Problems, TemplatePath};
use properties::Properties;
use resources::{Kind, Resource};
use scope::Scope;
use yaml::Entries;

/// The inputs of a template.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// `AWS::StackName`.
    pub stack_name: &'a str,
    /// Values of parameters; all others have their default.
    pub parameters: &'a BTreeMap<String, String>,
    /// Base URL of the AWS endpoint, the prefix of queue URLs.
    pub aws_endpoint: &'a str,
    /// The store of generated secrets.
    pub secrets: &'a Secrets,
}

/// Reads a template file.
///
/// # Errors
///
/// The file cannot be read, is not YAML, or has unsupported or invalid parts.
pub fn load(path: &Path, inputs: Inputs<'_>) -> Result<Deployment, TemplateError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TemplateError::Read { path: path.to_owned(), source })?;
    parse(&text, inputs)
}

/// Reads a template.
///
/// # Errors
///
/// The text is not YAML, or has unsupported or invalid parts.
pub fn parse(text: &str, inputs: Inputs<'_>) -> Result<Deployment, TemplateError> {
    read(yaml_serde::from_str(text)?, inputs)
}

/// Reads a template from a parsed YAML document.
///
/// # Errors
///
/// The template has unsupported or invalid parts.
pub fn read(document: yaml_serde::Value, inputs: Inputs<'_>) -> Result<Deployment, TemplateError> {
    let problems = Problems::default();
    let deployment = resolve(document, inputs, &problems);
    if problems.is_empty() { Ok(deployment) } else { Err(TemplateError::Unsupported(problems.into_inner())) }
}

fn resolve(document: yaml_serde::Value, inputs: Inputs<'_>, problems: &Problems) -> Deployment {
    let mut sections = Sections::new(document, problems);
    let mut scope = Scope::new(inputs.stack_name, problems);
    scope.parameters =
        parameters::parameters(sections.entries("Parameters", problems), inputs.parameters, problems);
    scope.mappings = sections.entries("Mappings", problems).into_iter().collect();
    parameters::conditions(sections.entries("Conditions", problems), &mut scope);
    let function_globals = globals(sections.entries("Globals", problems), problems);
    let declared = sections.entries("Resources", problems);
    let resources = resources::register(declared, &function_globals, inputs.aws_endpoint, &mut scope);
    let of = |kind: Kind| resources.iter().filter(move |resource| resource.kind == kind);
    for resource in of(Kind::Secret) {
        secret::read(resource, inputs.secrets, &mut scope);
    }

    let mut deployment = Deployment { stack_name: inputs.stack_name.to_owned(), ..Deployment::default() };
    let mut routes = Vec::new();
    let roles: Vec<_> = of(Kind::Role).filter_map(|r| roles::read(r, &scope)).collect();
    for read in of(Kind::Function).filter_map(|r| functions::read(r, &function_globals, &roles, &scope)) {
        deployment.functions.push(read.function);
        deployment.triggers.extend(read.triggers);
        routes.extend(read.routes);
    }
    let mut apis = of(Kind::Api);
    if let Some(resource) = apis.next() {
        deployment.api = api::read(resource, &deployment.functions, &scope);
    }
    for second in apis {
        problems.report(&second.at(), "is a second API; only one is supported");
    }
    deployment.api.routes = routes;
    if deployment.api.authorizer.is_none() {
        deployment.api.routes.iter_mut().for_each(|route| route.authorized = false);
    }
    deployment.tables = of(Kind::Table).map(|r| tables::read(r, &scope)).collect();
    deployment.topics = of(Kind::Topic).map(|r| messaging::topic(r, &scope)).collect();
    deployment.queues = messaging::dead_letter_queues_first(
        of(Kind::Queue).map(|r| messaging::queue(r, &scope)).collect(),
        &scope,
    );
    let subscriptions: Vec<_> =
        of(Kind::Subscription).filter_map(|r| messaging::subscription(r, &scope)).collect();
    let permissions: Vec<_> =
        of(Kind::QueuePolicy).flat_map(|r| messaging::queue_policy(r, &scope)).collect();
    messaging::check(
        &subscriptions,
        &deployment.topics,
        &deployment.queues,
        &permissions,
        inputs.aws_endpoint,
        &scope,
    );
    deployment.subscriptions = subscriptions.into_iter().map(|read| read.subscription).collect();
    check_triggers(&deployment, problems);
    check_unique(&deployment, problems);
    check_accepted_resources(of(Kind::Accepted), sections.entries("Outputs", problems), &scope);
    deployment
}

/// The sections of a template; unknown ones are reported.
struct Sections(Vec<(String, yaml_serde::Value)>);

impl Sections {
    fn new(document: yaml_serde::Value, problems: &Problems) -> Self {
        const KNOWN: [&str; 6] = ["Parameters", "Mappings", "Conditions", "Globals", "Resources", "Outputs"];
        let mut sections = Vec::new();
        let mut has_transform = false;
        let yaml_serde::Value::Mapping(document) = document else {
            problems.report(&TemplatePath::top("template"), "is not a mapping");
            return Self(sections);
        };
        for (name, value) in document {
            let Some(name) = name.as_str().map(str::to_owned) else {
                problems.report(&TemplatePath::top("template"), "has a section whose name is not a string");
                continue;
            };
            match name.as_str() {
                "Transform" => {
                    has_transform = true;
                    if value.as_str() != Some("AWS::Serverless-2016-10-31") {
                        problems
                            .report(&TemplatePath::top("Transform"), "must be AWS::Serverless-2016-10-31");
                    }
                }
                "AWSTemplateFormatVersion" | "Description" | "Metadata" => {}
                known if KNOWN.contains(&known) => sections.push((name, value)),
                _ => problems.report(&TemplatePath::top(&name), "is not a section that is supported"),
            }
        }
        if !has_transform {
            problems
                .report(&TemplatePath::top("Transform"), "is missing; it must be AWS::Serverless-2016-10-31");
        }
        Self(sections)
    }

    /// Removes and returns a section; a missing section is empty.
    fn entries(&mut self, name: &str, problems: &Problems) -> Entries {
        match self.0.iter().position(|(section, _)| section == name) {
            Some(index) => yaml::entries(self.0.remove(index).1, &TemplatePath::top(name), problems),
            None => Vec::new(),
        }
    }
}

/// `Globals.Function`, the only kind of globals that is supported.
fn globals(entries: Entries, problems: &Problems) -> Value {
    let mut function = Value::Object(Map::new());
    for (kind, value) in entries {
        if kind == "Function" {
            function = value;
        } else {
            problems.report(&TemplatePath::top("Globals").key(&kind), "is not understood; Function is");
        }
    }
    function
}

/// Checks that triggers refer to existing resources, and that a queue's visibility timeout is not shorter
/// than the function's timeout, which AWS rejects.
fn check_triggers(deployment: &Deployment, problems: &Problems) {
    for trigger in &deployment.triggers {
        let at = TemplatePath::top("Resources")
            .key(&trigger.function)
            .key("Properties")
            .key("Events")
            .key(&trigger.name);
        match &trigger.source {
            TriggerSource::Queue { queue_arn, .. } => {
                let Some(queue) =
                    deployment.queues.iter().find(|queue| arn::queue(&queue.name) == *queue_arn)
                else {
                    problems.report(&at, format!("{queue_arn} is not a queue of this template"));
                    continue;
                };
                // The reader of queues writes the attribute as a number.
                let visibility =
                    queue.attributes.get("VisibilityTimeout").and_then(|v| v.parse::<u64>().ok());
                let timeout = deployment.functions.iter().find(|f| f.logical_id == trigger.function);
                if timeout.is_some_and(|f| f.timeout.as_secs() > visibility.unwrap_or(30)) {
                    let id = &queue.logical_id;
                    problems.report(
                        &at,
                        format!("the VisibilityTimeout of {id} is below the function's Timeout"),
                    );
                }
            }
            TriggerSource::Stream { table, .. } => {
                if !deployment.tables.iter().any(|known| known.name == *table) {
                    problems.report(&at, format!("{table} is not a table of this template"));
                }
            }
            TriggerSource::Schedule { .. } => {}
        }
    }
}

/// Reports resources of one type with the same physical name, and functions with the same route.
fn check_unique(deployment: &Deployment, problems: &Problems) {
    let functions = deployment.functions.iter().map(|f| (&f.logical_id, "FunctionName", &f.name));
    let tables = deployment.tables.iter().map(|t| (&t.logical_id, "TableName", &t.name));
    let topics = deployment.topics.iter().map(|t| (&t.logical_id, "TopicName", &t.name));
    let queues = deployment.queues.iter().map(|q| (&q.logical_id, "QueueName", &q.name));
    let mut seen = BTreeMap::new();
    for (id, property, name) in functions.chain(tables).chain(topics).chain(queues) {
        if let Some(first) = seen.insert((property, name), id) {
            let at = TemplatePath::top("Resources").key(id).key("Properties").key(property);
            problems.report(&at, format!("{name} is the name of {first} already"));
        }
    }
    let mut seen = BTreeMap::new();
    for route in &deployment.api.routes {
        if let Some(first) = seen.insert((&route.method, &route.path), &route.function) {
            let at = TemplatePath::top("Resources").key(&route.function).key("Properties").key("Events");
            problems.report(&at, format!("{} {} is a route of {first} already", route.method, route.path));
        }
    }
}

/// Checks references in resources that are not emulated and in outputs, which CloudFormation would reject as
/// well.
fn check_accepted_resources<'r>(
    accepted: impl Iterator<Item = &'r Resource>,
    outputs: Entries,
    scope: &Scope<'_>,
) {
    for resource in accepted {
        scope.resolve(&resource.properties, &resource.at());
    }
    for (name, output) in outputs {
        let at = TemplatePath::top("Outputs").key(&name);
        let mut reader = Properties::new(output, at.clone(), scope.problems);
        let holds = match reader.string("Condition") {
            Some(condition) => scope.conditions.get(&condition).copied().unwrap_or_else(|| {
                reader.report_at("Condition", format!("there is no condition {condition}"));
                false
            }),
            None => true,
        };
        if let Some(value) = reader.value("Value").filter(|_| holds) {
            scope.resolve_string(&value, &at.key("Value"));
        }
        reader.ignore(&["Description", "Export"]);
        reader.finish();
    }
}
