//! The deployment: resolved, as the platform runs it, and as the file says it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use erp_local::deployment::{Deployment, Function, REGION};
use erp_local::iam;
use erp_local::secrets::Secrets;
use erp_local::template::{self, Inputs, TemplateError};
use serde_json::{Map, Value};
use yaml_serde::Value as Yaml;

/// The stack's name in everything here.
pub(crate) const STACK: &str = "erp";
/// Where queue URLs begin.
const ENDPOINT: &str = "http://127.0.0.1:4566";

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap())
}

/// A template in both of its forms: the one of the file, or one that differs from it.
#[derive(Debug)]
pub(crate) struct World {
    /// Resolved with the parameters' defaults.
    pub(crate) deployment: Deployment,
    /// As it is written, `!Tag x` as `{"Tag": x}`.
    pub(crate) document: Value,
    /// The resources as they are written, in the order of the file.
    pub(crate) resources: Vec<Resource>,
}

/// A resource as it is written.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Logical id.
    pub(crate) id: String,
    /// Such as `AWS::SQS::Queue`.
    pub(crate) kind: String,
    /// All of it.
    pub(crate) body: Value,
}

impl Resource {
    /// A property, by a JSON pointer below `Properties`.
    pub(crate) fn property(&self, pointer: &str) -> &Value {
        self.body["Properties"].pointer(pointer).unwrap_or(&Value::Null)
    }
}

impl World {
    /// The world of a template.
    ///
    /// # Errors
    /// When the platform refuses to run it.
    pub(crate) fn new(template: Yaml) -> Result<Self, TemplateError> {
        let document = plain(template.clone());
        let inputs = Inputs {
            stack_name: STACK,
            parameters: &BTreeMap::new(),
            aws_endpoint: ENDPOINT,
            secrets: &Secrets::in_memory(),
        };
        let deployment = template::read(template, inputs)?;
        let resource = |(id, body): (&String, &Value)| {
            let kind = body["Type"].as_str().unwrap_or_default().to_owned();
            Resource { id: id.clone(), kind, body: body.clone() }
        };
        let resources = document["Resources"].as_object().into_iter().flatten().map(resource).collect();
        Ok(Self { deployment, document, resources })
    }

    /// A function by its logical id.
    pub(crate) fn function(&self, logical_id: &str) -> &Function {
        let found = self.deployment.functions.iter().find(|function| function.logical_id == logical_id);
        found.unwrap_or_else(|| panic!("the template has no function {logical_id}"))
    }

    /// A function by its binary.
    pub(crate) fn binary(&self, binary: &str) -> Option<&Function> {
        self.deployment.functions.iter().find(|function| function.binary == binary)
    }

    /// The resources of a type.
    pub(crate) fn of_type(&self, kind: &str) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }

    /// A resource by its logical id.
    pub(crate) fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.id == id)
    }
}

/// The YAML of the template.
pub(crate) fn template() -> Yaml {
    let text = std::fs::read_to_string(workspace().join("template.yaml")).unwrap();
    yaml_serde::from_str(&text).unwrap()
}

/// The world of the template as it is.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::new(template()).unwrap_or_else(|error| panic!("{error}")))
}

/// The deployment of the template as it is.
pub(crate) fn deployment() -> &'static Deployment {
    &world().deployment
}

/// A function of the template as it is, by its logical id.
pub(crate) fn function(logical_id: &str) -> &'static Function {
    world().function(logical_id)
}

/// A client of the Lambda API at an address, with an access key.
pub(crate) fn lambda_client(endpoint: &str, key: &iam::Credentials) -> aws_sdk_lambda::Client {
    let (id, secret) = (&key.access_key_id, &key.secret_access_key);
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(aws_sdk_lambda::config::BehaviorVersion::latest())
        .region(aws_sdk_lambda::config::Region::from_static(REGION))
        .credentials_provider(aws_sdk_lambda::config::Credentials::new(id, secret, None, None, "test"))
        .endpoint_url(endpoint);
    aws_sdk_lambda::Client::from_conf(config.build())
}

fn plain(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => {
            number.as_i64().map(Value::from).or(number.as_f64().map(Value::from)).unwrap_or_default()
        }
        Yaml::String(text) => text.into(),
        Yaml::Sequence(list) => list.into_iter().map(plain).collect(),
        Yaml::Mapping(mapping) => {
            mapping.into_iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), plain(value))).collect()
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string().trim_start_matches('!').to_owned();
            Value::Object(Map::from_iter([(tag, plain(tagged.value))]))
        }
    }
}
