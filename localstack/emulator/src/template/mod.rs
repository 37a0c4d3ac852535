//! `template.yaml` to a [`Deployment`].
//!
//! The template is what deploys to AWS, so whatever this reader does not understand, or would run differently,
//! is refused by name and place - a resource type, an event, a property, a function, a reference to nothing -
//! and all of it at once. Each file below names, beside the properties that it understands, those that AWS
//! heeds and that change nothing here; a typing error is in neither list.
//!
//! ```text
//! yaml        YAML with CloudFormation's tags to plain values in the long form
//! problems    where something stands, and what is wrong with it
//! parameters  parameters and conditions
//! scope       Ref, GetAtt, Sub and the other functions
//! dynamic     {{resolve:secretsmanager:…}}
//! properties  typed reading that leaves no property unread
//! resources   which resources there are, and their physical names
//! functions, events, api, tables, messaging, secret   one kind of resource each
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

use problems::{At, Problems};
use properties::Properties;
use resources::{Kind, Resource};
use scope::Scope;
use yaml::Entries;

/// What a template is resolved with.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// `AWS::StackName`.
    pub stack_name: &'a str,
    /// Values for parameters; the others take their defaults.
    pub parameters: &'a BTreeMap<String, String>,
    /// Base URL of the AWS endpoint, which queue URLs begin with.
    pub aws_endpoint: &'a str,
    /// Where generated secrets come from and are kept.
    pub secrets: &'a Secrets,
}

/// Reads a template file.
///
/// # Errors
///
/// When it cannot be read, or says what cannot run here.
pub fn load(path: &Path, inputs: Inputs<'_>) -> Result<Deployment, TemplateError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TemplateError::Read { path: path.to_owned(), source })?;
    parse(&text, inputs)
}

/// Reads a template.
///
/// # Errors
///
/// When it is not YAML, or says what cannot run here.
pub fn parse(text: &str, inputs: Inputs<'_>) -> Result<Deployment, TemplateError> {
    read(yaml_serde::from_str(text)?, inputs)
}

/// Reads a template whose YAML is read already.
///
/// # Errors
///
/// When it says what cannot run here.
pub fn read(document: yaml_serde::Value, inputs: Inputs<'_>) -> Result<Deployment, TemplateError> {
    let problems = Problems::default();
    let deployment = resolve(document, inputs, &problems);
    if problems.is_empty() { Ok(deployment) } else { Err(TemplateError::Refused(problems.into_inner())) }
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
    for read in of(Kind::Function).filter_map(|r| functions::read(r, &function_globals, &scope)) {
        deployment.functions.push(read.function);
        deployment.triggers.extend(read.triggers);
        routes.extend(read.routes);
    }
    let mut apis = of(Kind::Api);
    if let Some(resource) = apis.next() {
        deployment.api = api::read(resource, &deployment.functions, &scope);
    }
    for second in apis {
        problems.report(&second.at(), "is a second API; one runs here");
    }
    deployment.api.routes = routes;
    if deployment.api.authorizer.is_none() {
        deployment.api.routes.iter_mut().for_each(|route| route.authorized = false);
    }
    deployment.tables = of(Kind::Table).map(|r| tables::read(r, &scope)).collect();
    deployment.topics = of(Kind::Topic).map(|r| messaging::topic(r, &scope)).collect();
    deployment.queues =
        messaging::in_order(of(Kind::Queue).map(|r| messaging::queue(r, &scope)).collect(), &scope);
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
    check_the_rest(of(Kind::Accepted), sections.entries("Outputs", problems), &scope);
    deployment
}

/// The sections of a template; any other is refused.
struct Sections(Vec<(String, yaml_serde::Value)>);

impl Sections {
    fn new(document: yaml_serde::Value, problems: &Problems) -> Self {
        const KNOWN: [&str; 6] = ["Parameters", "Mappings", "Conditions", "Globals", "Resources", "Outputs"];
        let mut sections = Vec::new();
        let mut has_transform = false;
        let yaml_serde::Value::Mapping(document) = document else {
            problems.report(&At::top("template"), "is not a mapping");
            return Self(sections);
        };
        for (name, value) in document {
            let name = name.as_str().unwrap_or_default().to_owned();
            match name.as_str() {
                "Transform" => {
                    has_transform = true;
                    if value.as_str() != Some("AWS::Serverless-2016-10-31") {
                        problems.report(&At::top("Transform"), "must be AWS::Serverless-2016-10-31");
                    }
                }
                "AWSTemplateFormatVersion" | "Description" | "Metadata" => {}
                known if KNOWN.contains(&known) => sections.push((name, value)),
                _ => problems.report(&At::top(&name), "is not a section that is understood here"),
            }
        }
        if !has_transform {
            problems.report(&At::top("Transform"), "is missing; it must be AWS::Serverless-2016-10-31");
        }
        Self(sections)
    }

    /// Takes a section out; one that is not there is empty.
    fn entries(&mut self, name: &str, problems: &Problems) -> Entries {
        match self.0.iter().position(|(section, _)| section == name) {
            Some(index) => yaml::entries(self.0.remove(index).1, &At::top(name), problems),
            None => Vec::new(),
        }
    }
}

/// `Globals.Function`, which is the only kind of globals here.
fn globals(entries: Entries, problems: &Problems) -> Value {
    let mut function = Value::Object(Map::new());
    for (kind, value) in entries {
        if kind == "Function" {
            function = value;
        } else {
            problems.report(&At::top("Globals").key(&kind), "is not understood here; Function is");
        }
    }
    function
}

/// Triggers have to name what is there, and AWS refuses a queue whose messages come back while they are worked on.
fn check_triggers(deployment: &Deployment, problems: &Problems) {
    for trigger in &deployment.triggers {
        let at =
            At::top("Resources").key(&trigger.function).key("Properties").key("Events").key(&trigger.name);
        match &trigger.source {
            TriggerSource::Queue { queue_arn, .. } => {
                let Some(queue) =
                    deployment.queues.iter().find(|queue| arn::queue(&queue.name) == *queue_arn)
                else {
                    problems.report(&at, format!("{queue_arn} is not a queue of this template"));
                    continue;
                };
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

/// Two resources with one physical name would be one here, and an error on AWS; two functions on one route too.
fn check_unique(deployment: &Deployment, problems: &Problems) {
    let functions = deployment.functions.iter().map(|f| (&f.logical_id, "FunctionName", &f.name));
    let tables = deployment.tables.iter().map(|t| (&t.logical_id, "TableName", &t.name));
    let topics = deployment.topics.iter().map(|t| (&t.logical_id, "TopicName", &t.name));
    let queues = deployment.queues.iter().map(|q| (&q.logical_id, "QueueName", &q.name));
    let mut seen = BTreeMap::new();
    for (id, property, name) in functions.chain(tables).chain(topics).chain(queues) {
        if let Some(first) = seen.insert((property, name), id) {
            let at = At::top("Resources").key(id).key("Properties").key(property);
            problems.report(&at, format!("{name} is the name of {first} already"));
        }
    }
    let mut seen = BTreeMap::new();
    for route in &deployment.api.routes {
        if let Some(first) = seen.insert((&route.method, &route.path), &route.function) {
            let at = At::top("Resources").key(&route.function).key("Properties").key("Events");
            problems.report(&at, format!("{} {} is a route of {first} already", route.method, route.path));
        }
    }
}

/// References inside what is not run are looked at all the same: CloudFormation would refuse them.
fn check_the_rest<'r>(accepted: impl Iterator<Item = &'r Resource>, outputs: Entries, scope: &Scope<'_>) {
    for resource in accepted {
        scope.resolve(&resource.properties, &resource.at());
    }
    for (name, output) in outputs {
        let at = At::top("Outputs").key(&name);
        let mut reader = Properties::new(output, at.clone(), scope.problems);
        let holds = match reader.text("Condition") {
            Some(condition) => scope.conditions.get(&condition).copied().unwrap_or(true),
            None => true,
        };
        if let Some(value) = reader.value("Value").filter(|_| holds) {
            scope.resolve_text(&value, &at.key("Value"));
        }
        reader.ignore(&["Description", "Export"]);
        reader.finish();
    }
}
