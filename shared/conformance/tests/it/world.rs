//! The deployment: resolved, as the platform runs it, and as the file says it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use localstack::deployment::{Deployment, Function};
use localstack::secrets::Secrets;
use localstack::template::{self, Inputs};
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

/// The template, resolved with its defaults.
pub(crate) fn deployment() -> &'static Deployment {
    static DEPLOYMENT: OnceLock<Deployment> = OnceLock::new();
    DEPLOYMENT.get_or_init(|| {
        let inputs = Inputs {
            stack_name: STACK,
            parameters: &BTreeMap::new(),
            aws_endpoint: ENDPOINT,
            secrets: &Secrets::in_memory(),
        };
        template::load(&workspace().join("template.yaml"), inputs).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// A function by its logical id.
pub(crate) fn function(logical_id: &str) -> &'static Function {
    let found = deployment().functions.iter().find(|function| function.logical_id == logical_id);
    found.unwrap_or_else(|| panic!("the template has no function {logical_id}"))
}

/// A resource as the file has it, `!Tag x` as `{"Tag": x}`.
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

/// The resources of the file, in its order.
pub(crate) fn resources() -> &'static [Resource] {
    static RESOURCES: OnceLock<Vec<Resource>> = OnceLock::new();
    RESOURCES.get_or_init(|| {
        let text = std::fs::read_to_string(workspace().join("template.yaml")).unwrap();
        let mut document = plain(yaml_serde::from_str(&text).unwrap());
        let Value::Object(resources) = document["Resources"].take() else { panic!("no Resources") };
        let resource = |(id, body): (String, Value)| {
            let kind = body["Type"].as_str().unwrap_or_default().to_owned();
            Resource { id, kind, body }
        };
        resources.into_iter().map(resource).collect()
    })
}

/// The resources of a type.
pub(crate) fn of_type(kind: &str) -> impl Iterator<Item = &'static Resource> {
    resources().iter().filter(move |resource| resource.kind == kind)
}

fn plain(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => number.as_i64().map_or(Value::Null, Value::from),
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
