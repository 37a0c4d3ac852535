//! The template in two forms: resolved, as the emulator runs it, and as the file is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use erp_local::deployment::{Deployment, Function, REGION};
use erp_local::iam;
use erp_local::secrets::Secrets;
use erp_local::template::{self, Inputs, TemplateError};
use serde_json::{Map, Value};
use yaml_serde::Value as Yaml;

/// The stack name in all tests.
pub(crate) const STACK: &str = "erp";
/// The prefix of queue URLs.
const ENDPOINT: &str = "http://127.0.0.1:4566";

/// Returns the root folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap())
}

/// A template: the committed one, or a mutant of it.
#[derive(Debug)]
pub(crate) struct Template {
    /// Resolved with the default values of the parameters.
    pub(crate) deployment: Deployment,
    /// The file as JSON; a tag `!Ref x` is `{"Ref": x}`.
    pub(crate) document: Value,
    /// The resources, in the order of the file.
    pub(crate) resources: Vec<Resource>,
}

/// A resource as the file defines it.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Logical id.
    pub(crate) id: String,
    /// The resource type, such as `AWS::SQS::Queue`.
    pub(crate) kind: String,
    /// The whole definition.
    pub(crate) body: Value,
}

impl Resource {
    /// Returns a property, by a JSON pointer below `Properties`; `null` if there is none.
    pub(crate) fn property(&self, pointer: &str) -> &Value {
        self.body["Properties"].pointer(pointer).unwrap_or(&Value::Null)
    }
}

impl Template {
    /// Resolves a template.
    ///
    /// # Errors
    /// If the emulator does not support a part of it.
    pub(crate) fn new(yaml: Yaml) -> Result<Self, TemplateError> {
        let document = to_json(yaml.clone());
        let inputs = Inputs {
            stack_name: STACK,
            parameters: &BTreeMap::new(),
            aws_endpoint: ENDPOINT,
            secrets: &Secrets::in_memory(),
        };
        let deployment = template::read(yaml, inputs)?;
        let resource = |(id, body): (&String, &Value)| {
            let kind = body["Type"].as_str().unwrap_or_default().to_owned();
            Resource { id: id.clone(), kind, body: body.clone() }
        };
        let resources = document["Resources"].as_object().into_iter().flatten().map(resource).collect();
        Ok(Self { deployment, document, resources })
    }

    /// Returns the committed template.
    pub(crate) fn committed() -> &'static Self {
        static TEMPLATE: OnceLock<Template> = OnceLock::new();
        TEMPLATE.get_or_init(|| Self::new(committed_yaml()).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Returns a function by its logical id.
    pub(crate) fn function(&self, logical_id: &str) -> &Function {
        let found = self.deployment.functions.iter().find(|function| function.logical_id == logical_id);
        found.unwrap_or_else(|| panic!("the template has no function {logical_id}"))
    }

    /// Returns the function of a binary.
    pub(crate) fn function_of_binary(&self, binary: &str) -> Option<&Function> {
        self.deployment.functions.iter().find(|function| function.binary == binary)
    }

    /// Returns the resources of a type.
    pub(crate) fn of_type(&self, kind: &str) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }

    /// Returns a resource by its logical id.
    pub(crate) fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.id == id)
    }
}

/// Parses the committed file.
pub(crate) fn committed_yaml() -> Yaml {
    let text = std::fs::read_to_string(workspace().join("template.yaml")).unwrap();
    yaml_serde::from_str(&text).unwrap()
}

/// Creates a client of the Lambda API at an endpoint.
pub(crate) fn lambda_client(endpoint: &str, key: &iam::Credentials) -> aws_sdk_lambda::Client {
    let (id, secret) = (&key.access_key_id, &key.secret_access_key);
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(aws_sdk_lambda::config::BehaviorVersion::latest())
        .region(aws_sdk_lambda::config::Region::from_static(REGION))
        .credentials_provider(aws_sdk_lambda::config::Credentials::new(id, secret, None, None, "test"))
        .endpoint_url(endpoint);
    aws_sdk_lambda::Client::from_conf(config.build())
}

/// Converts YAML to JSON; a tag `!Ref x` becomes `{"Ref": x}`.
pub(crate) fn to_json(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => {
            number.as_i64().map(Value::from).or(number.as_f64().map(Value::from)).unwrap_or_default()
        }
        Yaml::String(text) => text.into(),
        Yaml::Sequence(list) => list.into_iter().map(to_json).collect(),
        Yaml::Mapping(mapping) => mapping
            .into_iter()
            .map(|(key, value)| (key.as_str().unwrap().to_owned(), to_json(value)))
            .collect(),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string().trim_start_matches('!').to_owned();
            Value::Object(Map::from_iter([(tag, to_json(tagged.value))]))
        }
    }
}
