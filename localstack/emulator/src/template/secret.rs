//! `AWS::SecretsManager::Secret`: a value from the template, or one that is generated once.

use serde_json::Value;

use crate::arn;
use crate::secrets::{Generate, Secrets};

use super::properties::Properties;
use super::resources::Resource;
use super::scope::Scope;

/// Default length of a generated secret.
const DEFAULT_LENGTH: usize = 32;

/// Reads a secret and enters its value into the scope, by name and by ARN.
pub(crate) fn read(resource: &Resource, secrets: &Secrets, scope: &mut Scope<'_>) {
    let at = resource.at();
    let properties = scope.resolve(&resource.properties, &at).unwrap_or(Value::Null);
    let mut reader = Properties::new(properties, at, scope.problems);
    let name = reader.string("Name").unwrap_or_else(|| format!("{}-{}", scope.stack_name, resource.id));
    let literal = reader.string("SecretString");
    let generate = reader.object("GenerateSecretString").and_then(generate);
    reader.ignore(&["Description", "KmsKeyId", "Tags"]);
    let value = match (literal, generate) {
        (Some(literal), None) => Some(literal),
        (None, Some(generate)) => match secrets.get_or_generate(&name, &generate) {
            Ok(value) => Some(value),
            Err(error) => {
                reader.report_at("GenerateSecretString", error.to_string());
                None
            }
        },
        (None, None) | (Some(_), Some(_)) => {
            reader.report("needs either a SecretString or a valid GenerateSecretString");
            None
        }
    };
    reader.finish();
    // An invalid secret was reported. It has an empty value, so that references to it are not reported as
    // well.
    let value = value.unwrap_or_default();
    scope.secrets.insert(arn::secret(&name), value.clone());
    scope.secrets.insert(name, value);
}

fn generate(mut reader: Properties<'_>) -> Option<Generate> {
    let template = reader.string("SecretStringTemplate");
    let key = reader.string("GenerateStringKey");
    let generate = Generate {
        length: reader.number("PasswordLength").unwrap_or(DEFAULT_LENGTH),
        exclude_characters: reader.string("ExcludeCharacters").unwrap_or_default(),
        exclude_lowercase: reader.boolean("ExcludeLowercase").unwrap_or(false),
        exclude_numbers: reader.boolean("ExcludeNumbers").unwrap_or(false),
        exclude_punctuation: reader.boolean("ExcludePunctuation").unwrap_or(false),
        exclude_uppercase: reader.boolean("ExcludeUppercase").unwrap_or(false),
        include_space: reader.boolean("IncludeSpace").unwrap_or(false),
        into: None,
    };
    // Long secrets contain each type with high probability, so this is not enforced.
    reader.ignore(&["RequireEachIncludedType"]);
    let into = match (template, key) {
        (None, None) => Some(None),
        (Some(template), Some(key)) => match serde_json::from_str::<serde_json::Map<_, _>>(&template) {
            Ok(object) => Some(Some((object, key))),
            Err(error) => {
                reader.report_at("SecretStringTemplate", format!("is not a JSON object: {error}"));
                None
            }
        },
        (Some(_), None) | (None, Some(_)) => {
            reader.report("needs SecretStringTemplate and GenerateStringKey together");
            None
        }
    };
    reader.finish();
    into.map(|into| Generate { into, ..generate })
}
