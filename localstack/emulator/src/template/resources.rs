//! The resources of the template: emulated types, accepted types without effect, and physical names.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::arn;

use super::problems::TemplatePath;
use super::properties::Properties;
use super::scope::{PhysicalResource, Scope};
use super::yaml::Entries;

/// The supported types of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `AWS::Serverless::Function`.
    Function,
    /// `AWS::Serverless::Api`.
    Api,
    /// `AWS::DynamoDB::Table`.
    Table,
    /// `AWS::SNS::Topic`.
    Topic,
    /// `AWS::SNS::Subscription`.
    Subscription,
    /// `AWS::SQS::Queue`.
    Queue,
    /// `AWS::SQS::QueuePolicy`: not enforced, but compared with the subscriptions.
    QueuePolicy,
    /// `AWS::SecretsManager::Secret`.
    Secret,
    /// `AWS::IAM::Role`.
    Role,
    /// Without effect in the emulator.
    Accepted,
}

/// Accepted types; a name that ends with `::` is a whole service.
const ACCEPTED: [&str; 14] = [
    "AWS::ApiGateway::Account",
    "AWS::ApiGateway::BasePathMapping",
    "AWS::ApiGateway::DomainName",
    "AWS::ApplicationAutoScaling::",
    "AWS::Backup::",
    "AWS::Budgets::",
    "AWS::CloudWatch::",
    "AWS::IAM::",
    "AWS::KMS::",
    "AWS::Logs::",
    "AWS::Route53::",
    "AWS::SNS::TopicPolicy",
    "AWS::WAFv2::",
    "AWS::XRay::",
];

impl Kind {
    fn of(type_name: &str) -> Option<Self> {
        Some(match type_name {
            "AWS::Serverless::Function" => Self::Function,
            "AWS::Serverless::Api" => Self::Api,
            "AWS::DynamoDB::Table" => Self::Table,
            "AWS::SNS::Topic" => Self::Topic,
            "AWS::SNS::Subscription" => Self::Subscription,
            "AWS::SQS::Queue" => Self::Queue,
            "AWS::SQS::QueuePolicy" => Self::QueuePolicy,
            "AWS::SecretsManager::Secret" => Self::Secret,
            "AWS::IAM::Role" => Self::Role,
            other => {
                let accepted = ACCEPTED
                    .iter()
                    .any(|known| other == *known || (known.ends_with("::") && other.starts_with(known)));
                return accepted.then_some(Self::Accepted);
            }
        })
    }
}

/// A resource without a condition or with a true one.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// The unresolved properties.
    pub(crate) properties: Value,
    /// `Metadata.BuildProperties.Binary`, of functions.
    pub(crate) binary: Option<String>,
}

impl Resource {
    /// The position of its properties.
    pub(crate) fn at(&self) -> TemplatePath {
        TemplatePath::top("Resources").key(&self.id).key("Properties")
    }
}

/// Reads the resources and enters their names into the scope.
pub(crate) fn register(
    declared: Entries,
    globals: &Value,
    aws_endpoint: &str,
    scope: &mut Scope<'_>,
) -> Vec<Resource> {
    let ids: Vec<String> = declared.iter().map(|(id, _)| id.clone()).collect();
    let mut resources = Vec::new();
    for (id, value) in declared {
        let reader = Properties::new(value, TemplatePath::top("Resources").key(&id), scope.problems);
        match read(&id, reader, &ids, scope) {
            Some((resource, true)) => resources.push(resource),
            Some((_, false)) => {
                scope.absent.insert(id);
            }
            // Reported. It stays in scope, so that references to it are not reported as well.
            None => {
                scope
                    .resources
                    .insert(id.clone(), PhysicalResource { reference: id, alias: None, attributes: None });
            }
        }
    }
    for resource in &resources {
        let physical = physical(resource, globals, aws_endpoint, scope);
        scope.resources.insert(resource.id.clone(), physical);
    }
    resources
}

/// One resource, and whether its condition holds.
fn read(id: &str, mut reader: Properties<'_>, ids: &[String], scope: &Scope<'_>) -> Option<(Resource, bool)> {
    let type_name = reader.required_string("Type");
    let condition = reader.string("Condition");
    let metadata = reader.object("Metadata");
    for needed in reader.strings("DependsOn").unwrap_or_default() {
        if !ids.contains(&needed) {
            reader.report_at("DependsOn", format!("there is no resource {needed}"));
        }
    }
    let properties = reader.value("Properties").unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    reader.ignore(&["DeletionPolicy", "UpdateReplacePolicy"]);
    let present = match condition.as_deref().map(|name| (name, scope.conditions.get(name))) {
        None => true,
        Some((_, Some(holds))) => *holds,
        Some((name, None)) => {
            reader.report_at("Condition", format!("there is no condition {name}"));
            true
        }
    };
    let type_name = type_name?;
    let kind = Kind::of(&type_name);
    if kind.is_none() {
        reader.report_at("Type", format!("{type_name} is not a supported resource type"));
    }
    let binary = match (kind, metadata) {
        (Some(Kind::Function), Some(metadata)) => binary(metadata),
        (Some(Kind::Function), None) => {
            reader.report("has no Metadata.BuildProperties.Binary, the cargo binary to run");
            None
        }
        (Some(_) | None, _) => None,
    };
    reader.finish();
    Some((Resource { id: id.to_owned(), kind: kind?, properties, binary }, present))
}

fn binary(mut metadata: Properties<'_>) -> Option<String> {
    let method = metadata.required_string("BuildMethod");
    if let Some(method) = method.filter(|method| method != "rust-cargolambda") {
        metadata.report_at("BuildMethod", format!("{method} is not supported; functions are cargo binaries"));
    }
    let Some(mut build) = metadata.object("BuildProperties") else {
        metadata.report("has no BuildProperties.Binary, the cargo binary to run");
        return None;
    };
    let binary = build.required_string("Binary");
    build.finish();
    metadata.ignore(&["cfn-lint", "SamResourceId", "DockerTag"]);
    metadata.finish();
    binary
}

/// The values of `Ref` and `GetAtt`. A name can refer to parameters only, because other resources have no
/// name yet.
fn physical(resource: &Resource, globals: &Value, aws_endpoint: &str, scope: &Scope<'_>) -> PhysicalResource {
    let id = &resource.id;
    let name = |property: &str| -> String {
        let named = resource.properties.get(property);
        named
            .and_then(|value| scope.resolve_string(value, &resource.at().key(property)))
            .unwrap_or_else(|| format!("{}-{id}", scope.stack_name))
    };
    let mut alias = None;
    let (reference, attributes) = match resource.kind {
        Kind::Function => {
            let name = name("FunctionName");
            let arn = arn::function(&name);
            let published =
                [&resource.properties, globals].into_iter().find_map(|of| of.get("AutoPublishAlias"));
            let published = published
                .and_then(|value| scope.resolve_string(value, &resource.at().key("AutoPublishAlias")));
            let mut attributes = vec![("Arn", arn.clone())];
            if published.is_some() {
                // SAM creates this resource for a function with AutoPublishAlias.
                attributes.push(("Version.Version", "1".to_owned()));
            }
            alias = published.map(|alias| format!("{arn}:{alias}"));
            (name, attributes)
        }
        Kind::Table => {
            let name = name("TableName");
            let mut attributes = vec![("Arn", arn::table(&name))];
            if resource.properties.get("StreamSpecification").is_some() {
                attributes.push(("StreamArn", arn::stream(&name)));
            }
            (name, attributes)
        }
        Kind::Topic => {
            let name = name("TopicName");
            let arn = arn::topic(&name);
            (arn.clone(), vec![("TopicArn", arn), ("TopicName", name)])
        }
        Kind::Queue => {
            let name = name("QueueName");
            let url = queue_url(aws_endpoint, &name);
            let arn = arn::queue(&name);
            (url.clone(), vec![("Arn", arn), ("QueueName", name), ("QueueUrl", url)])
        }
        Kind::Secret => {
            let name = name("Name");
            let arn = arn::secret(&name);
            (arn.clone(), vec![("Id", arn)])
        }
        Kind::Role => {
            let name = name("RoleName");
            let arn = arn::role(&name);
            (name, vec![("Arn", arn)])
        }
        Kind::Api => {
            let attributes = vec![("RestApiId", "local".to_owned()), ("Stage", name("StageName"))];
            ("local".to_owned(), attributes)
        }
        Kind::Subscription | Kind::QueuePolicy => (id.clone(), Vec::new()),
        Kind::Accepted => return PhysicalResource { reference: id.clone(), alias, attributes: None },
    };
    PhysicalResource {
        reference,
        alias,
        attributes: Some(attributes.into_iter().collect::<BTreeMap<_, _>>()),
    }
}

/// The URL of a queue at the SQS endpoint.
pub(crate) fn queue_url(aws_endpoint: &str, name: &str) -> String {
    format!("{}/{}/{name}", aws_endpoint.trim_end_matches('/'), crate::deployment::ACCOUNT)
}
