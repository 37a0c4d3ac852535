//! Ids in paths, and `If-Match`.

use std::convert::Infallible;

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use erp_domain::Id;
use erp_service::Precondition;
use utoipa::IntoParams;
use utoipa::PartialSchema;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};

use crate::{FieldError, Problem};

/// The `{id}` of the path.
#[derive(Debug, Clone, Copy)]
pub struct PathId<T>(pub Id<T>);

impl<S: Send + Sync, T> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = path_parameters(parts, state).await?.into_iter().find(|(name, _)| name == "id");
        let text = id.map(|(_, value)| value).unwrap_or_default();
        text.parse().map(Self).map_err(|reason| Problem::invalid(vec![FieldError::parameter("id", reason)]))
    }
}

impl<T> IntoParams for PathId<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let id = ParameterBuilder::new()
            .name("id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some("Id of the resource."))
            .schema(Some(Id::<T>::schema()));
        vec![id.build()]
    }
}

/// Returns the decoded parameters of the path, or a 400 that names one that is not UTF-8 after percent-decoding.
pub(crate) async fn path_parameters<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<Vec<(String, String)>, Problem> {
    let rejection = match Path::from_request_parts(parts, state).await {
        Ok(Path(parameters)) => return Ok(parameters),
        Err(rejection) => rejection,
    };
    if let PathRejection::FailedToDeserializePathParams(error) = &rejection
        && let ErrorKind::InvalidUtf8InPathParam { key } = error.kind()
    {
        let error = FieldError::parameter(key, "must be valid UTF-8 after percent-decoding");
        return Err(Problem::invalid(vec![error]));
    }
    Err(Problem::internal(rejection))
}

/// The versions that a client expects.
#[derive(Debug, Clone, Default)]
pub struct IfMatch(pub Precondition);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let values: Vec<_> = parts.headers.get_all(IF_MATCH).iter().collect();
        if values.is_empty() {
            return Ok(Self(Precondition::None));
        }
        let tags = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let mut versions = Vec::new();
        for tag in tags.map(str::trim) {
            if tag == "*" {
                return Ok(Self(Precondition::None));
            }
            versions.extend(version(tag));
        }
        Ok(Self(Precondition::OneOf(versions)))
    }
}

/// Parses an entity tag of the platform: a decimal without sign or leading zeros, in quotes. Any other tag, weak ones
/// included, matches no version (RFC 9110 section 13.1.1 requires strong comparison).
fn version(tag: &str) -> Option<u64> {
    let text = tag.strip_prefix('"')?.strip_suffix('"')?;
    text.parse::<u64>().ok().filter(|version| version.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_tag_is_a_quoted_decimal_and_nothing_looser() {
        assert_eq!(version("\"12\""), Some(12));
        for tag in ["12", "\"+2\"", "\"01\"", "\" 1\"", "W/\"1\"", "\"1", "\"\"", "\"-1\"", "\"1.0\""] {
            assert_eq!(version(tag), None, "{tag}");
        }
    }
}
